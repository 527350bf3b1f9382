"""Checks of a server through Debian's python3-kazoo: kazoo_check.py HOSTS CHECK.

Each function named check_* is one check; it ends by returning, or fails by raising. "list" prints their names.
Where a check needs something done to the ensemble it prints a line and waits for an answer on stdin.
"""
import sys
import threading
import time

from kazoo.client import KazooClient
from kazoo.exceptions import BadVersionError, NoNodeError, NodeExistsError, RolledBackError
from kazoo.recipe.watchers import ChildrenWatch, DataWatch

HOSTS = sys.argv[1]


def client(**options):
    made = KazooClient(hosts=HOSTS, timeout=6, **options)
    made.start(timeout=15)
    return made


def until(condition, what, limit=10):
    deadline = time.time() + limit
    while not condition():
        assert time.time() < deadline, "not within %d s: %s" % (limit, what)
        time.sleep(0.02)


def check_basics():
    zk = client()
    assert zk.create("/k/basics/deep", b"one", makepath=True) == "/k/basics/deep"
    data, stat = zk.get("/k/basics/deep")
    assert (data, stat.version) == (b"one", 0)
    assert zk.set("/k/basics/deep", b"two", version=0).version == 1
    try:
        zk.set("/k/basics/deep", b"x", version=0)
        raise AssertionError("no BadVersionError")
    except BadVersionError:
        pass
    names = [zk.create("/k/basics/s-", sequence=True) for _ in range(3)]
    assert names == sorted(names) and len(set(names)) == 3, names
    path, stat = zk.create("/k/basics/with_stat", b"abc", include_data=True)
    assert stat.dataLength == 3 and stat.czxid == stat.mzxid
    zk.delete("/k/basics", recursive=True)
    assert zk.exists("/k/basics") is None
    zk.stop()


def check_lock():
    zk = client()
    zk.create("/k/lock_counter", b"0", makepath=True)
    failures = []

    def work():
        try:
            mine = client()
            for _ in range(5):
                with mine.Lock("/k/lock", "worker"):
                    mine.sync("/k/lock_counter")
                    count = int(mine.get("/k/lock_counter")[0])
                    mine.set("/k/lock_counter", str(count + 1).encode())
            mine.stop()
        except Exception as problem:  # reported by the main thread
            failures.append(problem)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures, failures
    zk.sync("/k/lock_counter")
    assert zk.get("/k/lock_counter")[0] == b"20", zk.get("/k/lock_counter")
    zk.stop()


def check_election():
    winners = []
    clients = [client() for _ in range(3)]
    threads = []
    for number, zk in enumerate(clients):
        election = zk.Election("/k/election", str(number))
        thread = threading.Thread(target=election.run, args=(winners.append, number))
        threads.append(thread)
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(winners) == [0, 1, 2], winners
    for zk in clients:
        zk.stop()


def check_watches():
    watcher, writer = client(), client()
    seen, children, fired = [], [], []
    writer.create("/k/watched", b"0", makepath=True)
    watcher.sync("/k/watched")
    DataWatch(watcher, "/k/watched", lambda data, stat: seen.append(data))
    ChildrenWatch(watcher, "/k/watched", lambda names: children.append(sorted(names)))
    watcher.exists("/k/not_yet", watch=fired.append)
    for value in (b"1", b"2", b"3"):
        writer.set("/k/watched", value)
        until(lambda: seen and seen[-1] == value, "data watch sees %r, saw %r" % (value, seen))
    writer.create("/k/watched/a")
    until(lambda: children and children[-1] == ["a"], "children watch sees a")
    writer.create("/k/not_yet")
    until(lambda: fired, "exist watch fires")
    assert fired[0].type == "CREATED" and fired[0].path == "/k/not_yet", fired
    writer.delete("/k/watched", recursive=True)
    until(lambda: seen and seen[-1] is None, "data watch sees the deletion")
    watcher.stop()
    writer.stop()


def check_ephemeral():
    owner, observer = client(), client()
    owner.create("/k/ephemeral", ephemeral=True, makepath=True)
    observer.sync("/k/ephemeral")
    assert observer.get("/k/ephemeral")[1].ephemeralOwner == owner.client_id[0]
    owner.stop()
    until(lambda: observer.exists("/k/ephemeral") is None, "the ephemeral node goes with its session")
    observer.stop()


def check_transaction():
    zk = client()
    zk.ensure_path("/k")
    transaction = zk.transaction()
    transaction.create("/k/t", b"a")
    transaction.create("/k/t/child", b"b")
    transaction.set_data("/k/t", b"c")
    transaction.check("/k/t", 1)
    transaction.delete("/k/t/child")
    results = transaction.commit()
    assert results[0] == "/k/t" and results[2].version == 1 and results[3:] == [True, True], results
    transaction = zk.transaction()
    transaction.set_data("/k/t", b"d")
    transaction.create("/k/t")
    results = transaction.commit()
    assert isinstance(results[0], RolledBackError) and isinstance(results[1], NodeExistsError), results
    assert zk.get("/k/t")[0] == b"c"
    zk.stop()


def check_party():
    one, two = client(), client()
    first, second = one.Party("/k/party", "one"), two.Party("/k/party", "two")
    first.join()
    second.join()
    one.sync("/k/party")
    assert sorted(first) == ["one", "two"], sorted(first)
    two.stop()
    until(lambda: sorted(first) == ["one"], "the other leaves the party")
    one.stop()


def check_queue():
    producer, consumer = client(), client()
    queue, reader = producer.Queue("/k/queue"), consumer.LockingQueue("/k/locking_queue")
    for value in (b"a", b"b", b"c"):
        queue.put(value)
    assert [queue.get() for _ in range(3)] == [b"a", b"b", b"c"]
    producer.LockingQueue("/k/locking_queue").put_all([b"x", b"y"])
    taken = []
    for _ in range(2):
        taken.append(reader.get(timeout=5))
        assert reader.consume()
    assert taken == [b"x", b"y"], taken
    producer.stop()
    consumer.stop()


def check_barrier():
    zk = client()
    barrier = zk.Barrier("/k/barrier")
    barrier.create()
    assert barrier.wait(timeout=0.2) is False
    other = client()
    threading.Timer(0.2, other.Barrier("/k/barrier").remove).start()
    assert barrier.wait(timeout=10) is True
    counter = zk.Counter("/k/counter")
    counter += 5
    counter -= 2
    assert counter.value == 3
    zk.stop()
    other.stop()


def check_acl():
    from kazoo.security import make_digest_acl

    zk = client(auth_data=[("digest", "kim:secret")], default_acl=[make_digest_acl("kim", "secret", all=True)])
    zk.create("/k_private", b"x")
    stranger = client()
    stranger.sync("/k_private")
    try:
        stranger.get("/k_private")
        raise AssertionError("a stranger reads")
    except Exception as problem:
        assert type(problem).__name__ == "NoAuthError", problem
    zk.delete("/k_private")
    zk.stop()
    stranger.stop()


def check_reconnect():
    """The session, its ephemeral node and its watch outlive the member that it is connected to."""
    zk = client()
    zk.create("/k/reconnect", b"0", ephemeral=True, makepath=True)
    seen = []
    DataWatch(zk, "/k/reconnect", lambda data, stat: seen.append(data))
    session = zk.client_id[0]
    print("kill my member", flush=True)
    assert sys.stdin.readline() == "killed\n"

    def moved():
        try:
            return zk.retry(zk.get, "/k/reconnect")[1].ephemeralOwner == session
        except NoNodeError:
            raise AssertionError("the ephemeral node is gone")

    until(moved, "the session moves", limit=20)
    assert zk.client_id[0] == session
    zk.retry(zk.set, "/k/reconnect", b"1")
    until(lambda: seen[-1] == b"1", "the watch moved along")
    zk.stop()


CHECKS = {name[len("check_"):]: function for name, function in list(globals().items()) if name.startswith("check_")}

if sys.argv[2] == "list":
    print("\n".join(CHECKS))
else:
    CHECKS[sys.argv[2]]()
    print("passed")
