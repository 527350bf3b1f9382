#!/bin/sh
# Written by zkctl: what OpenRC's supervise-daemon keeps running.
config={{ .Config }}
log={{ .Log }}
ulimit -n {{ .Host.OpenFiles }} 2>/dev/null
# One old log is kept; what is written now goes to a new one.
if [ -n "$(find "$log" -size +65536k 2>/dev/null)" ]; then mv -f "$log" "$log.1"; fi
# What the server was started with tells the next bootstrap whether it needs a restart.
{{ .KeepStarted }}
printf %s $$ >{{ .PidFile }}
exec >>"$log" 2>&1 </dev/null
# What users of a JVM set in java.env counts here, too.
{{ .Environment }} {{ .IdentityCheck }} && exec {{ .Server }} --config "$config"
