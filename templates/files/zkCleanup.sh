#!/bin/sh
# Written by zkctl: deletes old snapshots and txn logs.
# usage: zkCleanup.sh [--config DIR] -n COUNT
config={{ .Config }}
if [ "$1" = --config ]; then config=$2/zoo.cfg; shift 2; fi
value() { sed -n "s/^[[:space:]]*$1[[:space:]]*[=:][[:space:]]*//p" "$config" | tail -n 1 | sed 's/[[:space:]]*$//'; }
logs=$(value dataLogDir)
exec {{ .Server }} purge-txn-log ${logs:+"$logs"} "$(value dataDir)" "$@"
