package client

import (
	"errors"

	"github.com/zkctl/zkctl/wire"
)

// Error is the outcome of a request that failed, at the server or on the way.
type Error struct {
	Code wire.ErrCode
	Path string // as the client sees it; may be empty
}

// Error is the text of org.apache.zookeeper.KeeperException.
func (e *Error) Error() string {
	name, ok := errorNames[e.Code]
	if !ok {
		name = "Unknown error"
	}
	text := "KeeperErrorCode = " + name
	if e.Path != "" {
		text += " for " + e.Path
	}
	return text
}

// Code is the code of an Error; any other error is ErrSystem, none is ErrOK.
func Code(err error) wire.ErrCode {
	var e *Error
	switch {
	case err == nil:
		return wire.ErrOK
	case errors.As(err, &e):
		return e.Code
	}
	return wire.ErrSystem
}

var errorNames = map[wire.ErrCode]string{
	wire.ErrSystem: "SystemError", wire.ErrRuntimeInconsistency: "RuntimeInconsistency",
	wire.ErrDataInconsistency: "DataInconsistency", wire.ErrConnectionLoss: "ConnectionLoss",
	wire.ErrMarshalling: "MarshallingError", wire.ErrUnimplemented: "Unimplemented",
	wire.ErrOperationTimeout: "OperationTimeout", wire.ErrBadArguments: "BadArguments",
	wire.ErrUnknownSession: "Unknown error UNKNOWNSESSION", wire.ErrNewConfigNoQuorum: "NewConfigNoQuorum",
	wire.ErrReconfigInProgress: "ReconfigInProgress", wire.ErrNoNode: "NoNode", wire.ErrNoAuth: "NoAuth",
	wire.ErrBadVersion: "BadVersion", wire.ErrNoChildrenForEphemerals: "NoChildrenForEphemerals",
	wire.ErrNodeExists: "NodeExists", wire.ErrNotEmpty: "Directory not empty", wire.ErrSessionExpired: "Session expired",
	wire.ErrInvalidCallback: "Invalid callback", wire.ErrInvalidACL: "InvalidACL", wire.ErrAuthFailed: "AuthFailed",
	wire.ErrSessionMoved: "Session moved", wire.ErrNotReadOnly: "Not a read-only call",
	wire.ErrEphemeralOnLocalSession: "Ephemeral node on local session", wire.ErrNoWatcher: "No such watcher",
	wire.ErrRequestTimeout: "Unknown error REQUESTTIMEOUT", wire.ErrReconfigDisabled: "Reconfig is disabled",
	wire.ErrSessionClosedRequireSASL: "Session closed because client failed to authenticate",
	wire.ErrQuotaExceeded:            "Quota has exceeded", wire.ErrThrottledOp: "Op throttled due to high load",
}
