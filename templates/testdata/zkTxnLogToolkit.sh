#!/bin/sh
# Written by zkctl: dumps, tests, repairs and chops a txn log.
exec /opt/zookeeper/current/bin/zkserver txn-log-toolkit "$@"
