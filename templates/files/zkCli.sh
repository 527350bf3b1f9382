#!/bin/sh
# Written by zkctl: a ZooKeeper client for the command line; talks to the server of this host unless told otherwise.
exec {{ .Client }} -default-server {{ .LocalServer }} "$@"
