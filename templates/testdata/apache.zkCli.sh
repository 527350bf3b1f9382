#!/bin/sh
# Written by zkctl: a ZooKeeper client for the command line; talks to the server of this host unless told otherwise.
config=/etc/zookeeper/zoo.cfg
server=127.0.0.1:2181
if grep -q '^secureClientPort=' "$config" 2>/dev/null && ! grep -q '^clientPort=' "$config"; then
  # Nothing but TLS: with the certificate of this host, where nobody says otherwise. Only root and the server's user can
  # read its key.
  server=10.0.0.11:2281
  case "$CLIENT_JVMFLAGS $JVMFLAGS" in *zookeeper.ssl.*) ;; *)
    CLIENT_JVMFLAGS="$CLIENT_JVMFLAGS -Dzookeeper.client.secure=true \
      -Dzookeeper.ssl.keyStore.location=/etc/zookeeper/tls/server.pem -Dzookeeper.ssl.trustStore.location=/etc/zookeeper/tls/trust.pem"
    export CLIENT_JVMFLAGS ;;
  esac
fi
exec /opt/zookeeper/bin/zookeeper-java cli -default-server "$server" "$@"
