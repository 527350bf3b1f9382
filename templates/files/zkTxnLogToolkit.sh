#!/bin/sh
# Written by zkctl: dumps, tests, repairs and chops a txn log.
exec {{ .Server }} txn-log-toolkit "$@"
