#!/bin/sh
# Written by zkctl: a ZooKeeper client for the command line; talks to the server of this host unless told otherwise.
config={{ .Config }}
server={{ .LocalServer }}
if grep -q '^secureClientPort=' "$config" 2>/dev/null && ! grep -q '^clientPort=' "$config"; then
  # Nothing but TLS: with the certificate of this host, where nobody says otherwise. Only root and the server's user can
  # read its key.
  server={{ .SecureServer }}
  case "$CLIENT_JVMFLAGS $JVMFLAGS" in *zookeeper.ssl.*) ;; *)
    CLIENT_JVMFLAGS="$CLIENT_JVMFLAGS -Dzookeeper.client.secure=true \
      -Dzookeeper.ssl.keyStore.location={{ .KeyStore }} -Dzookeeper.ssl.trustStore.location={{ .TrustStore }}"
    export CLIENT_JVMFLAGS ;;
  esac
fi
exec {{ if .RunsApache }}{{ .Server }} cli{{ else }}{{ .Client }}{{ end }} -default-server "$server" "$@"
