#!/bin/sh
# Written by zkctl: dumps and tests a snapshot.
exec {{ .Server }} snapshot-toolkit "$@"
