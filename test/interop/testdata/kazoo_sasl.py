"""Checks of SASL through Debian's python3-kazoo and python3-pure-sasl: kazoo_sasl.py HOSTS USER PASSWORD.

It authenticates, makes a node for itself, and prints "ready" and its member's end, which it outlives: after another
connection it must be authenticated again, before anything else.
"""
import logging
import os
import sys

from kazoo.client import KazooClient
from kazoo.exceptions import NoAuthError
from kazoo.retry import KazooRetry
from kazoo.security import make_acl

HOSTS, USER, PASSWORD = sys.argv[1:]
logging.basicConfig(format="%(relativeCreated)d ms: %(message)s", level=logging.INFO)


def client(password):
    options = {"mechanism": "DIGEST-MD5", "username": USER, "password": password}
    return KazooClient(hosts=HOSTS, timeout=6, sasl_options=options)


zk = client(PASSWORD)
zk.start(timeout=15)
mine = [make_acl("sasl", USER, all=True)]
zk.create("/sasl", b"one", acl=mine)
assert zk.get_acls("/sasl")[0] == mine
zk.create("/sasl/deep", b"one", acl=[make_acl("auth", "", all=True)])
assert zk.get_acls("/sasl/deep")[0] == mine

# kazoo 2.8 takes itself for connected before it authenticates, and its thread ends without a word when it is refused.
wrong = client("no " + PASSWORD)
try:
    wrong.start(timeout=3)
    wrong.get_async("/sasl").get(timeout=3)
    read = True
except Exception as refusal:
    print("refused: %r" % refusal)
    read = False
assert not read, "a wrong password is accepted"

other = KazooClient(hosts=HOSTS, timeout=6)
if sys.stdin.readline().strip() == "all may connect":
    other.start(timeout=15)
    try:
        other.get("/sasl")
        raise AssertionError("everybody may read")
    except NoAuthError:
        pass
    other.stop()

print("kill my member", flush=True)
sys.stdin.readline()
retry = KazooRetry(max_tries=-1, max_delay=0.2)
retry(zk.set, "/sasl", b"two")
assert retry(zk.get, "/sasl")[0] == b"two"
zk.stop()
print("passed", flush=True)
os._exit(0)  # the threads of the refused client go on, and disturb the interpreter's own end
