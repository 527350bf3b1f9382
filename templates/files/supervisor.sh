#!/bin/sh
# Written by zkctl: keeps the ZooKeeper server running on a host without systemd. Started and stopped by zkServer.sh.
config={{ .Config }}
log={{ .Log }}
pid_file={{ .PidFile }}
supervisor_pid_file={{ .SupervisorPidFile }}

ulimit -n {{ .Host.OpenFiles }} 2>/dev/null
child= stopping=
stop() { stopping=yes; [ -z "$child" ] || kill -TERM "$child" 2>/dev/null; }
trap stop TERM INT
trap '' HUP

echo $$ >"$supervisor_pid_file"
while [ -z "$stopping" ]; do
  # One old log is kept; what is written now goes to a new one.
  if [ -n "$(find "$log" -size +65536k 2>/dev/null)" ]; then mv -f "$log" "$log.1"; fi
  # What the server was started with tells the next bootstrap whether it needs a restart.
  {{ .KeepStarted }}
  # What users of a JVM set in java.env counts here, too.
  ({{ .Environment }} {{ .IdentityCheck }} && exec {{ .Server }} --config "$config") >>"$log" 2>&1 &
  child=$!
  printf %s "$child" >"$pid_file"
  wait "$child"; code=$?
  # A signal to us ends wait before the server has ended.
  while kill -0 "$child" 2>/dev/null; do wait "$child"; code=$?; done
  child=
  rm -f "$pid_file"
  # 0 and 143: somebody stopped it; 2: the configuration was refused, and will be again.
  case $code in 0 | 143 | 2) break ;; esac
  [ -n "$stopping" ] && break
  echo "$(date): the server ended with status $code; starting it again" >>"$log"
  sleep 1 & wait $!
done
rm -f "$supervisor_pid_file"
