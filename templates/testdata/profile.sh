# Written by zkctl: where ZooKeeper's commands are.
export ZOOKEEPER_HOME=/opt/zookeeper
case ":$PATH:" in
*":$ZOOKEEPER_HOME/bin:"*) ;;
*) export PATH="$PATH:$ZOOKEEPER_HOME/bin" ;;
esac
