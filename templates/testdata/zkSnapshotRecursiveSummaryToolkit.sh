#!/bin/sh
# Written by zkctl: sums up a snapshot.
exec /opt/zookeeper/current/bin/zkserver snapshot-summary "$@"
