// Package ratelog logs what others can cause as often as they like: hostile packets, failed handshakes, slow clients. Each
// message is let through a few times in a while; its next line tells how many were left out.
package ratelog

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// In each Interval a Logger lets the same message through Burst times at most.
const (
	Interval = 10 * time.Second
	Burst    = 10
)

// Logger lets each message through at most Burst times in Interval. Messages must be constants: each is remembered. It is safe for
// concurrent use.
type Logger struct {
	log *slog.Logger
	now func() time.Time

	mu       sync.Mutex
	messages map[string]*message
}

type message struct {
	end     time.Time // of the interval
	lines   int       // in the interval
	leftOut int
}

// New returns a Logger that writes to log.
func New(log *slog.Logger) *Logger {
	return &Logger{log: log, now: time.Now, messages: make(map[string]*message)}
}

// Warn logs at level Warn, or not.
func (l *Logger) Warn(msg string, attrs ...any) { l.write(slog.LevelWarn, msg, attrs) }

// Info logs at level Info, or not.
func (l *Logger) Info(msg string, attrs ...any) { l.write(slog.LevelInfo, msg, attrs) }

func (l *Logger) write(level slog.Level, msg string, attrs []any) {
	leftOut, ok := l.admit(msg)
	if !ok {
		return
	}
	if leftOut > 0 {
		attrs = append(attrs, "left_out", leftOut)
	}
	l.log.Log(context.Background(), level, msg, attrs...)
}

// admit tells whether the message may be logged now, and how many were not since the last one.
func (l *Logger) admit(msg string) (leftOut int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.messages[msg]
	if m == nil {
		m = new(message)
		l.messages[msg] = m
	}
	if now := l.now(); !now.Before(m.end) {
		m.end, m.lines = now.Add(Interval), 0
	}
	if m.lines == Burst {
		m.leftOut++
		return 0, false
	}
	m.lines++
	leftOut, m.leftOut = m.leftOut, 0
	return leftOut, true
}
