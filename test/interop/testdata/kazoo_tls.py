"""A session of Debian's python3-kazoo over TLS: kazoo_tls.py HOSTS CA CERTIFICATE_AND_KEY. It ends by printing "passed"."""
import sys

from kazoo.client import KazooClient
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.security import ACL, Id, Permissions

HOSTS, CA, OWN = sys.argv[1:]


def client(**options):
    return KazooClient(hosts=HOSTS, timeout=6, use_ssl=True, ca=CA, **options)


zk = client(certfile=OWN, keyfile=OWN)
zk.start(timeout=15)
zk.create("/kazoo", b"x" * 300000, acl=[ACL(Permissions.ALL, Id("x509", "CN=kazoo"))])
data, stat = zk.get("/kazoo")
assert len(data) == 300000 and stat.version == 0
events = []
zk.get("/kazoo", watch=events.append)
futures = [zk.set_async("/kazoo", b"%d" % i) for i in range(500)]
assert [f.get(timeout=15).version for f in futures] == list(range(1, 501))
assert len(events) == 1, events
zk.stop()
zk.start(timeout=15)
assert zk.get("/kazoo")[0] == b"499"
zk.stop()

stranger = client()
try:
    stranger.start(timeout=3)
    raise AssertionError("a client without a certificate is let in")
except KazooTimeoutError:
    stranger.stop()
print("passed")
