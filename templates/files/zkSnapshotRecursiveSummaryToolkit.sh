#!/bin/sh
# Written by zkctl: sums up a snapshot.
exec {{ .Server }} snapshot-summary "$@"
