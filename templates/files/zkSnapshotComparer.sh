#!/bin/sh
# Written by zkctl: compares two snapshots.
exec {{ .Server }} snapshot-comparer "$@"
