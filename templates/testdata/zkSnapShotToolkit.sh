#!/bin/sh
# Written by zkctl: dumps and tests a snapshot.
exec /opt/zookeeper/current/bin/zkserver snapshot-toolkit "$@"
