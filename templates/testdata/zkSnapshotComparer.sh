#!/bin/sh
# Written by zkctl: compares two snapshots.
exec /opt/zookeeper/current/bin/zkserver snapshot-comparer "$@"
