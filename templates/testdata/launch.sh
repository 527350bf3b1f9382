#!/bin/sh
# Written by zkctl: what OpenRC's supervise-daemon keeps running.
config=/etc/zookeeper/zoo.cfg
log=/var/log/zookeeper/zookeeper.log
ulimit -n 65536 2>/dev/null
# One old log is kept; what is written now goes to a new one.
if [ -n "$(find "$log" -size +65536k 2>/dev/null)" ]; then mv -f "$log" "$log.1"; fi
# What the server was started with tells the next bootstrap whether it needs a restart.
cat /etc/zookeeper/zoo.cfg /opt/zookeeper/bin/zookeeper-supervisor >/var/lib/zookeeper/started-with
printf %s $$ >/var/lib/zookeeper/zookeeper_server.pid
exec >>"$log" 2>&1 </dev/null
# What users of a JVM set in java.env counts here, too.
test ! -f /etc/zookeeper/zookeeper-env.sh || . /etc/zookeeper/zookeeper-env.sh; test ! -f /etc/zookeeper/java.env || . /etc/zookeeper/java.env; export SERVER_JVMFLAGS JVMFLAGS; /opt/zookeeper/bin/zookeeper-identity && exec /opt/zookeeper/current/bin/zkserver --config "$config"
