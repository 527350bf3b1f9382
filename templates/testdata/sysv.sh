#!/bin/sh
# Written by zkctl.
### BEGIN INIT INFO
# Provides:          zookeeper
# Required-Start:    $network $local_fs $remote_fs
# Required-Stop:     $network $local_fs $remote_fs
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: ZooKeeper server
### END INIT INFO
# chkconfig: 2345 95 05
exec /opt/zookeeper/bin/zkServer.sh "$1"
