# Written by zkctl: where ZooKeeper's commands are.
export ZOOKEEPER_HOME={{ .Host.Server.Paths.Install }}
case ":$PATH:" in
*":$ZOOKEEPER_HOME/bin:"*) ;;
*) export PATH="$PATH:$ZOOKEEPER_HOME/bin" ;;
esac
