#!/bin/sh
# Written by zkctl: lets the server start only on data that is its own. The stamp lies with the data and moves with its
# disk; what it must say lies with the configuration and stays.
identity=/etc/zookeeper/identity

refuse() { echo "zookeeper: refused to start: $1" >&2; exit 2; }
# says KEY FILE: by the shell alone, since it is in the way of each start.
says() { while IFS= read -r line || [ -n "$line" ]; do case $line in "$1="*) printf '%s\n' "${line#*=}"; return ;; esac; done <"$2"; }
[ -f "$identity" ] || refuse "there is no $identity: run zkctl apply"
for stamp in /var/lib/zookeeper/zkctl.stamp /log/zookeeper/zkctl.stamp; do
  [ -f "$stamp" ] || refuse "${stamp%/*} has no stamp: is its disk mounted? If the data is gone for good, zkctl apply --adopt-data begins without"
  for key in ensemble ensemble.id server; do
    is=$(says $key "$stamp") wanted=$(says $key "$identity")
    [ "$is" = "$wanted" ] || refuse "${stamp%/*} belongs to $key $is, this member has $key $wanted"
  done
done
