#!/bin/sh
# Written by zkctl: the ZooKeeper server of this host, by the command that ZooKeeper people know.
# usage: zkServer.sh [--config DIR] {start|start-foreground|stop|restart|status|version|print-cmd} [FILE]
server={{ .Server }}
client={{ .Client }}
managed={{ .Config }}
service={{ .Host.Server.Service }}
manager={{ .Manager }}
user={{ .User }}
supervisor={{ .Supervisor }}
pid_file={{ .PidFile }}
supervisor_pid_file={{ .SupervisorPidFile }}

dir=${ZOOCFGDIR:-$(dirname "$managed")}
if [ "$1" = --config ]; then dir=$2; shift 2; fi
verb=$1
name=${2:-${ZOOCFG:-zoo.cfg}}
case $name in */*) config=$name ;; *) config=$dir/$name ;; esac

usage() {
  echo "Usage: $0 [--config <conf-dir>] {start|start-foreground|stop|version|restart|status|print-cmd} [<conf-file>]" >&2
}

# running PIDFILE WORD: the process that wrote the file lives and has the word in its command line.
running() {
  pid=$(cat "$1" 2>/dev/null) && [ -n "$pid" ] && [ -r "/proc/$pid/cmdline" ] &&
    tr '\0' ' ' <"/proc/$pid/cmdline" | grep -qF -- "$2"
}

# as_user COMMAND: with the service's user where we are root.
as_user() {
  if [ "$(id -u)" = 0 ] && [ -n "$user" ] && [ "$user" != root ]; then su -s /bin/sh "$user" -c "$1"; else /bin/sh -c "$1"; fi
}

only_managed() {
  [ "$config" = "$managed" ] && return
  echo "$verb works for $managed only; use start-foreground for another configuration." >&2
  exit 1
}

# permitted: only root, and the service's user where no systemd is in charge, may start and stop the server.
permitted() {
  [ -z "$user" ] || [ "$(id -u)" = 0 ] && return
  [ "$manager" != systemd ] && [ "$(id -un)" = "$user" ] && return
  echo "not permitted for $(id -un): sudo $0 $verb"
  return 1
}

alive() {
  case $manager in
  systemd) systemctl is-active --quiet "$service" || [ "$(systemctl is-active "$service")" = activating ] ;;
  *) running "$supervisor_pid_file" "$supervisor" ;;
  esac
}

start() {
  only_managed
  printf 'Starting zookeeper ... '
  permitted || return 1
  if alive; then
    case $manager in systemd) pid=$(systemctl show -p MainPID --value "$service") ;; *) pid=$(cat "$pid_file" 2>/dev/null) ;; esac
    echo "already running as process $pid."
    return 1
  fi
  case $manager in
  systemd) systemctl start --no-block "$service" || { echo "FAILED TO START"; return 1; } ;;
  *)
    if command -v setsid >/dev/null; then launch="setsid $supervisor"; else launch="nohup $supervisor"; fi
    as_user "$launch >/dev/null 2>&1 </dev/null &" ;;
  esac
  # Look for as long as a refused configuration needs to end the process, and no longer than it needs to come up.
  i=0 up=0
  while [ $i -lt 40 ] && [ $up -lt 4 ]; do
    sleep 0.05 2>/dev/null || sleep 1
    if alive; then up=$((up + 1)); else up=0; fi
    i=$((i + 1))
  done
  if [ $up -ge 4 ]; then echo STARTED; return 0; fi
  echo "FAILED TO START"
  return 1
}

stop() {
  only_managed
  printf 'Stopping zookeeper ... '
  permitted || return 1
  case $manager in
  systemd)
    if ! alive; then echo "no zookeeper to stop"; return 0; fi
    systemctl stop "$service" && systemctl reset-failed "$service" 2>/dev/null
    if alive; then echo "FAILED TO STOP"; return 1; fi ;;
  *)
    if ! alive; then echo "no zookeeper to stop (could not find file $supervisor_pid_file)"; return 0; fi
    if ! kill -TERM "$pid" 2>/dev/null; then echo "FAILED TO STOP: not permitted"; return 1; fi
    i=0
    while running "$supervisor_pid_file" "$supervisor" && [ $i -lt 300 ]; do
      sleep 0.1 2>/dev/null || sleep 1
      i=$((i + 1))
    done
    if alive; then echo "FAILED TO STOP"; return 1; fi ;;
  esac
  echo STOPPED
}

case $verb in start | start-foreground | stop | restart | status | print-cmd) echo "Using config: $config" >&2 ;; esac

case $verb in
start) start ;;
stop) stop ;;
restart) stop && start ;;
start-foreground)
  if [ "$(id -u)" = 0 ] && [ -n "$user" ] && [ "$user" != root ]; then exec su -s /bin/sh "$user" -c "exec $server --config $config"; fi
  exec "$server" --config "$config" ;;
status)
  port=$(sed -n 's/^[[:space:]]*clientPort[[:space:]]*[=:][[:space:]]*//p' "$config" | tail -n 1)
  address=$(sed -n 's/^[[:space:]]*clientPortAddress[[:space:]]*[=:][[:space:]]*//p' "$config" | tail -n 1)
  if [ -z "$port" ]; then
    echo "Unable to find either secure or unsecure client port in any configs. Terminating." >&2
    exit 1
  fi
  echo "Client port found: $port. Client address: ${address:-localhost}. Client SSL: false."
  mode=$("$client" -four-letter-word srvr -server "${address:-127.0.0.1}:$port" 2>/dev/null | grep '^Mode: ')
  if [ -n "$mode" ]; then echo "$mode"; exit 0; fi
  if alive; then
    echo "Error contacting service. The process runs, but it serves no clients (no quorum?)."
  else
    echo "Error contacting service. It is probably not running."
  fi
  exit 1 ;;
version) exec "$server" --version ;;
print-cmd) echo "$server --config $config" ;;
*) usage ;;
esac
