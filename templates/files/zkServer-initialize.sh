#!/bin/sh
# Written by zkctl: makes the directories of a server empty, as for its first start.
config={{ .Config }}
user={{ .User }}
force= myid=

usage() {
  printf 'usage: %s <parameters>
  Optional parameters:
     -h                                                    Display this message
     --help                                                Display this message
     --configfile=%-40s ZooKeeper config file
     --myid=#                                              Set the myid to be used, if any (1-255)
     --force                                               Force creation of the data/txnlog dirs
' "$0" "$config"
  exit 1
}

refuse() { echo "$1"; exit 1; }

value() { sed -n "s/^[[:space:]]*$1[[:space:]]*[=:][[:space:]]*//p" "$config" | tail -n 1 | sed 's/[[:space:]]*$//'; }

while [ $# -gt 0 ]; do
  case $1 in
  --configfile) config=$2; shift ;;
  --configfile=?*) config=${1#*=} ;;
  --myid) myid=$2; shift ;;
  --myid=?*) myid=${1#*=} ;;
  --force) force=yes ;;
  -h | --help) usage ;;
  *) echo "Unknown option: $1"; usage ;;
  esac
  shift
done

[ -e "$config" ] || refuse "Unable to find config file at $config"
data=$(value dataDir) logs=$(value dataLogDir)
[ -n "$data" ] || refuse "Unable to determine dataDir from $config"
if [ -n "$force" ]; then
  echo "Force enabled, data/txnlog directories will be re-initialized"
else
  [ ! -d "$data/version-2" ] || refuse "ZooKeeper data directory already exists at $data (or use --force to force re-initialization)"
  [ -z "$logs" ] || [ ! -d "$logs/version-2" ] || refuse "ZooKeeper txnlog directory already exists at $logs (or use --force to force re-initialization)"
fi
for parent in "$data" ${logs:+"$logs"}; do
  rm -rf "$parent/myid" "$parent/version-2"
  mkdir -p "$parent/version-2" || exit 1
done
if [ -n "$myid" ]; then
  echo "Using myid of $myid"
  echo "$myid" >"$data/myid"
else
  echo "No myid provided, be sure to specify it in $data/myid if using non-standalone"
fi
touch "$data/initialize"
# What root made belongs to who runs the server.
if [ "$(id -u)" = 0 ] && [ -n "$user" ]; then
  for parent in "$data" ${logs:+"$logs"}; do chown -R "$user" "$parent/version-2"; done
  chown "$user" "$data/initialize"
  [ ! -f "$data/myid" ] || chown "$user" "$data/myid"
fi
