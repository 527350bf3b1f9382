package zkcli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/zkctl/zkctl/client"
	"github.com/zkctl/zkctl/wire"
)

func addWatch(s *shell, a arguments) error {
	usage := failure("addWatch " + commands()["addWatch"].usage)
	mode := int32(wire.AddWatchPersistentRecursive)
	if a.has("m") {
		switch strings.ToUpper(a.values["m"]) {
		case "PERSISTENT":
			mode = wire.AddWatchPersistent
		case "PERSISTENT_RECURSIVE":
		default:
			return usage
		}
	}
	if len(a.words) != 2 {
		return usage
	}
	err := s.session.AddWatch(background, a.words[1], mode)
	if client.IsArgument(err) {
		return fatal(err.Error())
	}
	return err
}

func removeWatches(s *shell, a arguments) error {
	kind := int32(wire.WatchesAny)
	switch {
	case a.has("c"):
		kind = wire.WatchesChildren
	case a.has("d"):
		kind = wire.WatchesData
	case a.has("p"):
		kind = wire.WatchesPersistent
	case a.has("r"):
		kind = wire.WatchesPersistentRecursive
	}
	return s.session.RemoveWatches(background, a.words[1], kind, a.has("l"))
}

// syncTimeout is how long sync waits.
const syncTimeout = 30 * time.Second

func syncPath(s *shell, a arguments) error {
	ctx, cancel := context.WithTimeout(background, syncTimeout)
	defer cancel()
	err := s.session.Sync(ctx, a.words[1])
	switch {
	case client.IsArgument(err):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return failure("null") // an exception without a text
	case err != nil:
		fmt.Fprintf(s.out, "Sync has failed. rc=%d\n", client.Code(err))
	default:
		fmt.Fprintln(s.out, "Sync is OK")
	}
	return nil
}
