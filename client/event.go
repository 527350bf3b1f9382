package client

import (
	"fmt"

	"github.com/zkctl/zkctl/wire"
)

// EventState is the state of the session at an event.
type EventState int

// The states (org.apache.zookeeper.Watcher.Event.KeeperState).
const (
	StateDisconnected      EventState = 0
	StateSyncConnected     EventState = wire.SyncConnected
	StateAuthFailed        EventState = 4
	StateConnectedReadOnly EventState = 5
	StateSaslAuthenticated EventState = 6
	StateClosed            EventState = 7
	StateExpired           EventState = -112
)

var stateNames = map[EventState]string{
	StateDisconnected: "Disconnected", StateSyncConnected: "SyncConnected", StateAuthFailed: "AuthFailed",
	StateConnectedReadOnly: "ConnectedReadOnly", StateSaslAuthenticated: "SaslAuthenticated", StateClosed: "Closed",
	StateExpired: "Expired",
}

// The events that do not come from servers (org.apache.zookeeper.Watcher.Event.EventType): None is about the session.
const (
	None                   wire.EventType = 0 // -1 in Apache ZooKeeper, which never sends it either
	DataWatchRemoved       wire.EventType = 5
	ChildWatchRemoved      wire.EventType = 6
	PersistentWatchRemoved wire.EventType = 7
)

var typeNames = map[wire.EventType]string{
	None: "None", wire.NodeCreated: "NodeCreated", wire.NodeDeleted: "NodeDeleted", wire.NodeDataChanged: "NodeDataChanged",
	wire.NodeChildrenChanged: "NodeChildrenChanged", DataWatchRemoved: "DataWatchRemoved",
	ChildWatchRemoved: "ChildWatchRemoved", PersistentWatchRemoved: "PersistentWatchRemoved",
}

// Event tells of the session, or of a watched znode.
type Event struct {
	State EventState
	Type  wire.EventType
	Path  string // as the client sees it; empty if Type is None
}

// String is the text of org.apache.zookeeper.WatchedEvent.
func (e Event) String() string {
	path := e.Path
	if e.Type == None {
		path = "null"
	}
	return fmt.Sprintf("WatchedEvent state:%s type:%s path:%s", stateNames[e.State], typeNames[e.Type], path)
}
