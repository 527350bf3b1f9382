#!/bin/sh
# Written by zkctl: a ZooKeeper client for the command line; talks to the server of this host unless told otherwise.
exec /opt/zookeeper/bin/zookeeper-java cli -default-server 127.0.0.1:2181 "$@"
