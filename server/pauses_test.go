package server

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zkctl/zkctl/server/config"
	"github.com/zkctl/zkctl/server/metrics"
)

func TestPauses(t *testing.T) {
	for name, c := range map[string]struct {
		info, warn time.Duration
		logged     string
	}{
		"short":  {time.Second, 10 * time.Second, ""},
		"longer": {-1, time.Second, "level=INFO"},
		"long":   {-1, -1, "level=WARN"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				cfg := &config.Config{Metrics: config.Metrics{Pauses: config.Pauses{Sleep: time.Second, Info: c.info, Warn: c.warn}}}
				s := &Server{cfg: cfg, log: slog.New(slog.NewTextHandler(&log, nil)), metrics: metrics.New()}
				ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
				defer cancel()
				s.watchPauses(ctx)
				if got, _ := s.metrics.JVMPauseTime.Total(); got != 3 {
					t.Errorf("measured %d times in 3.5 s", got)
				}
				if got := strings.Count(log.String(), "paused"); (got == 3) != (c.logged != "") || !strings.Contains(log.String(), c.logged) {
					t.Errorf("logged: %s", &log)
				}
			})
		})
	}
}
