#!/bin/sh
# A three-member ensemble on this machine, without root and without SSH: up, down. Called by `make demo`.
set -eu
cd "$(dirname "$0")/.."
inventory=examples/local.yaml
state=.demo/state
servers=127.0.0.1:21811,127.0.0.1:21812,127.0.0.1:21813

case ${1:-} in
up)
  bin/zkctl bootstrap "$inventory" --state-dir $state
  echo
  echo "Writing through the first member and reading at the others:"
  bin/zkcli -server 127.0.0.1:21811 create /demo "hello from the demo" >/dev/null 2>&1 ||
    bin/zkcli -server 127.0.0.1:21811 set /demo "hello from the demo" >/dev/null
  for port in 21812 21813; do
    # A read at another member may be a moment behind; sync waits for it.
    printf 'sync /demo\nget /demo\n' | bin/zkcli -server 127.0.0.1:$port -waitforconnection | sed -n "s/^hello/  127.0.0.1:$port says: hello/p"
  done
  cat <<END

The ensemble is up.
  connect with any ZooKeeper client   $servers
  by hand                             bin/zkcli -server $servers
  look at it                          bin/zkctl status -i $inventory
  restart it without interruption     bin/zkctl rolling-restart -i $inventory --state-dir $state
  what was done                       bin/zkctl audit list --state-dir $state
  files, configuration, logs          .demo/
  stop and remove it                  make demo-down
END
  ;;
down)
  if [ -d .demo ]; then
    bin/zkctl stop --yes -i "$inventory" --state-dir $state
    rm -rf .demo
  fi
  echo "The demo ensemble is gone."
  ;;
*)
  echo "usage: examples/demo.sh up|down" >&2
  exit 2
  ;;
esac
