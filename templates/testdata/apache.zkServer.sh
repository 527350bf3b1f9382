#!/bin/sh
# Written by zkctl: the ZooKeeper server of this host, by the command that ZooKeeper people know.
# usage: zkServer.sh [--config DIR] {start|start-foreground|stop|restart|status|version|print-cmd|upgrade} [FILE]
server=/opt/zookeeper/bin/zookeeper-java
managed=/etc/zookeeper/zoo.cfg
service=zookeeper
manager=systemd
user=zookeeper
supervisor=/opt/zookeeper/bin/zookeeper-supervisor
pid_file=/var/lib/zookeeper/zookeeper_server.pid
supervisor_pid_file=/var/lib/zookeeper/supervisor.pid

dir=${ZOOCFGDIR:-${managed%/*}}
if [ "$1" = --config ]; then dir=$2; shift 2; fi
# What users of a JVM set there counts here, too.
for file in "$dir/zookeeper-env.sh" "$dir/java.env"; do
  [ -f "$file" ] || continue
  if sh -n "$file" 2>/dev/null; then . "$file"; else echo "$file is no script for sh, ignored" >&2; fi
done
export SERVER_JVMFLAGS JVMFLAGS CLIENT_JVMFLAGS
verb=$1
name=${2:-${ZOOCFG:-zoo.cfg}}
case $name in */*) config=$name ;; *) config=$dir/$name ;; esac

usage() {
  echo "Usage: $0 [--config <conf-dir>] {start|start-foreground|stop|version|restart|status|print-cmd} [<conf-file>]" >&2
}

# value KEY FILE: the value of a key of zoo.cfg.
value() { sed -n "s/^[[:space:]]*$1[[:space:]]*[=:][[:space:]]*//p" "$2" 2>/dev/null | tail -n 1 | sed 's/[[:space:]]*$//'; }

# running PIDFILE WORD: the process that wrote the file lives and has the word in its command line.
running() {
  pid=$(cat "$1" 2>/dev/null) && [ -n "$pid" ] && [ -r "/proc/$pid/cmdline" ] &&
    tr '\0' ' ' <"/proc/$pid/cmdline" | grep -qF -- "$2"
}

# as_user COMMAND: with the service's user where we are root.
as_user() {
  if [ "$(id -u)" = 0 ] && [ -n "$user" ] && [ "$user" != root ]; then su -s /bin/sh "$user" -c "$1"; else /bin/sh -c "$1"; fi
}

# permitted: only root, and the service's user where neither systemd nor OpenRC is in charge, may start and stop the server.
permitted() {
  [ -z "$user" ] || [ "$(id -u)" = 0 ] && return
  [ "$manager" = supervisor ] && [ "$(id -un)" = "$user" ] && return
  echo "not permitted for $(id -un): sudo $0 $verb"
  return 1
}

alive() {
  case $manager in
  systemd) case $(systemctl is-active "$service") in active | reloading | refreshing | activating) ;; *) return 1 ;; esac ;;
  openrc) rc-service -q "$service" status >/dev/null 2>&1 ;;
  *) running "$supervisor_pid_file" "$supervisor" ;;
  esac
}

# begun: the process that the supervisor, which runs as $pid, keeps is the server by now, and not what looks whether that may start.
begun() {
  { read -r child || [ -n "$child" ]; } <"$pid_file" && read -r is <"/proc/$child/comm" && read -r was <"/proc/$pid/comm" && [ "$is" != "$was" ]
} 2>/dev/null

# listens: something has the client port open. A JVM takes a while to that, or to find out that it cannot get there.
listens() { grep -qi ":$(printf %04X 2181) [0-9A-F]*:0000 0A" /proc/net/tcp /proc/net/tcp6 2>/dev/null; }

start() {
  printf 'Starting zookeeper ... '
  permitted || return 1
  if alive; then
    case $manager in systemd) pid=$(systemctl show -p MainPID "$service") pid=${pid#*=} ;; *) pid=$(cat "$pid_file" 2>/dev/null) ;; esac
    echo "already running as process $pid."
    return 1
  fi
  case $manager in
  systemd)
    systemctl start --no-block "$service" || { echo "FAILED TO START"; return 1; } ;;
  openrc)
    rm -f "$pid_file"
    rc-service -q "$service" zap >/dev/null 2>&1 # of a power cut OpenRC may not know yet
    rc-service -q "$service" start </dev/null >/dev/null 2>&1 || { echo "FAILED TO START"; return 1; } ;;
  *)
    rm -f "$pid_file" # of a power cut
    if command -v setsid >/dev/null; then launch="setsid $supervisor"; else launch="nohup $supervisor"; fi
    as_user "$launch >/dev/null 2>&1 </dev/null &" ;;
  esac
  # Look for as long as a refused configuration needs to end the process, and no longer than it needs to come up.
  i=0 up=0
  while [ $i -lt 100 ] && { [ $up -lt 4 ] || ! listens; }; do
    sleep 0.05 2>/dev/null || sleep 1
    if alive && case $manager in systemd) ;; openrc) running "$pid_file" "$managed" ;; *) begun ;; esac; then up=$((up + 1)); else up=0; fi
    i=$((i + 1))
  done
  if [ $up -ge 4 ]; then echo STARTED; return 0; fi
  [ "$manager" != openrc ] || rc-service -q "$service" stop >/dev/null 2>&1 # what was refused will be again
  echo "FAILED TO START"
  return 1
}

stop() {
  printf 'Stopping zookeeper ... '
  permitted || return 1
  case $manager in
  systemd)
    if ! alive; then echo "no zookeeper to stop"; return 0; fi
    systemctl stop "$service" && systemctl reset-failed "$service" 2>/dev/null
    if alive; then echo "FAILED TO STOP"; return 1; fi ;;
  openrc)
    if ! alive; then echo "no zookeeper to stop"; return 0; fi
    rc-service -q "$service" stop </dev/null >/dev/null 2>&1
    if alive || running "$pid_file" "$managed"; then echo "FAILED TO STOP"; return 1; fi
    rm -f "$pid_file" ;;
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

# What follows is for a zoo.cfg of somebody's own: a server in the background, with a pid file beside its data.

own_paths() {
  data=$(value dataDir "$config") logs=$(value dataLogDir "$config")
  own_pid_file=${ZOOPIDFILE:-$data/zookeeper_server.pid}
  out=${ZOO_LOG_DIR:-$(dirname /var/log/zookeeper/zookeeper.log)}/zookeeper-$(id -un)-server-$(uname -n).out
  autocreate=
  [ -n "$ZOO_DATADIR_AUTOCREATE_DISABLE" ] || return 0
  for place in "data:$data" "txnlog:$logs"; do
    [ -z "${place#*:}" ] || [ -d "${place#*:}/version-2" ] && continue
    echo "ZooKeeper ${place%%:*} directory is missing at ${place#*:} fix the path or run initialize"
    exit 1
  done
  autocreate=-Dzookeeper.datadir.autocreate=false
}

own_start() {
  printf 'Starting zookeeper ... '
  if running "$own_pid_file" "$server"; then
    echo "already running as process $pid."
    return 1
  fi
  mkdir -p "$(dirname "$own_pid_file")" "$(dirname "$out")" 2>/dev/null
  nohup "$server" --config "$config" $autocreate >"$out" 2>&1 </dev/null &
  if ! printf %s "$!" >"$own_pid_file"; then kill "$!"; echo "FAILED TO WRITE PID"; return 1; fi
  sleep 1
  if running "$own_pid_file" "$server"; then echo STARTED; return 0; fi
  echo "FAILED TO START"
  return 1
}

own_stop() {
  printf 'Stopping zookeeper ... '
  if [ ! -f "$own_pid_file" ]; then echo "no zookeeper to stop (could not find file $own_pid_file)"; return 0; fi
  if running "$own_pid_file" "$server"; then
    kill "$pid" || return 1
    i=0
    while running "$own_pid_file" "$server" && [ $i -lt 300 ]; do
      sleep 0.1 2>/dev/null || sleep 1
      i=$((i + 1))
    done
  fi
  rm -f "$own_pid_file"
  echo STOPPED
}

# find_client_port: in the line of this server, here or in the dynamic file.
find_client_port() {
  myid=$(cat "$(value dataDir "$config")/myid" 2>/dev/null)
  case $myid in
  '' | *[!0-9]*)
    echo "myid could not be determined, will not able to locate clientPort in the server configs."
    return ;;
  esac
  client=$(value "server\.$myid" "$config" | sed -n 's/^[^;]*;\([^;]*\).*/\1/p')
  if [ -z "$client" ]; then
    echo "Client port not found in static config file. Looking in dynamic config file."
    client=$(value "server\.$myid" "$(value dynamicConfigFile "$config")" | sed -n 's/^[^;]*;\([^;]*\).*/\1/p')
  fi
  if [ -z "$client" ]; then
    echo "Client port not found in the server configs"
    return
  fi
  port=${client##*:}
  case $client in *:*) address=$(echo "${client%:*}" | tr -d '[]') ;; esac
}

status() {
  secure=false
  address=$(value clientPortAddress "$config")
  port=$(value clientPort "$config")
  case $port in '' | *[!0-9]*) port= && find_client_port ;; esac
  if [ -z "$port" ]; then
    echo "Client port not found. Looking for secureClientPort in the static config."
    secure=true
    address=$(value secureClientPortAddress "$config")
    port=$(value secureClientPort "$config")
    if [ "$config" = "$managed" ]; then
      [ -n "$address" ] || address=10.0.0.11
      # With the certificate of this host, which root and the server's user can read.
      case "$CLIENT_JVMFLAGS $JVMFLAGS" in *zookeeper.ssl.*) ;; *)
        CLIENT_JVMFLAGS="$CLIENT_JVMFLAGS -Dzookeeper.ssl.keyStore.location=/etc/zookeeper/tls/server.pem -Dzookeeper.ssl.trustStore.location=/etc/zookeeper/tls/trust.pem" ;;
      esac
    fi
  fi
  if [ -z "$port" ]; then
    echo "Unable to find either secure or unsecure client port in any configs. Terminating."
    return 1
  fi
  echo "Client port found: $port. Client address: ${address:-localhost}. Client SSL: $secure."
  mode=$("$server" four-letter-word "${address:-127.0.0.1}" "$port" srvr "$secure" 2>/dev/null | grep '^Mode: ')
  if [ -n "$mode" ]; then echo "$mode"; return 0; fi
  if [ "$secure" = true ]; then
    echo "The port is for TLS: CLIENT_JVMFLAGS must name the stores, such as -Dzookeeper.ssl.trustStore.location=FILE."
  fi
  if [ "$config" = "$managed" ] && alive; then
    echo "Error contacting service. The process runs, but it serves no clients (no quorum?)."
  else
    echo "Error contacting service. It is probably not running."
  fi
  return 1
}

own=
case $verb in start | start-foreground | stop | restart | status | print-cmd)
  echo "Using config: $config" >&2
  [ "$config" = "$managed" ] || own=own_
  [ -z "$own" ] || own_paths ;;
esac

case $verb in
start) "${own}start" ;;
stop) "${own}stop" ;;
restart) "${own}stop" && "${own}start" ;;
start-foreground)
  if [ -z "$own" ] && [ "$(id -u)" = 0 ] && [ -n "$user" ] && [ "$user" != root ]; then
    exec su -s /bin/sh "$user" -c "exec $server --config $config"
  fi
  exec "$server" --config "$config" $autocreate ;;
status) status ;;
version) exec "$server" --version ;;
print-cmd) exec "$server" --print-command "$config" $autocreate ;;
upgrade) echo "Nothing to do: the server reads the files of every release since 3.4. zkctl bootstrap brings a newer server." >&2 ;;
*) usage ;;
esac
