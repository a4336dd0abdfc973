package broker

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
)

// lineHandler formats `2026-01-02T15:04:05.000000+00:00 [error] msg: ..., key: value`.
type lineHandler struct {
	w     io.Writer
	level slog.Level
	mu    *sync.Mutex
}

func (h *lineHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level }

func (h *lineHandler) Handle(_ context.Context, r slog.Record) error {
	level := map[slog.Level]string{slog.LevelDebug: "debug", slog.LevelInfo: "info", slog.LevelWarn: "warning"}[r.Level]
	if level == "" {
		level = "error"
	}
	var b strings.Builder
	_, _ = fmt.Fprintf(&b, "%s [%s] msg: %s", r.Time.Format("2006-01-02T15:04:05.000000-07:00"), level, r.Message)
	r.Attrs(func(a slog.Attr) bool {
		_, _ = fmt.Fprintf(&b, ", %s: %v", a.Key, a.Value)
		return true
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := fmt.Fprintln(h.w, b.String())
	return err
}

func (h *lineHandler) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h *lineHandler) WithGroup(string) slog.Handler      { return h }

// logger writes lines as EMQX's text formatter does.
type logger struct{ *slog.Logger }

var logLevels = map[string]slog.Level{
	"debug": slog.LevelDebug, "all": slog.LevelDebug, "info": slog.LevelInfo, "notice": slog.LevelInfo + 1, "warning": slog.LevelWarn,
}

func newLogger(w io.Writer, level string) *logger {
	l, ok := logLevels[level]
	if !ok {
		l = slog.LevelError
	}
	return &logger{slog.New(&lineHandler{w: w, level: l, mu: &sync.Mutex{}})}
}

// print writes whatever the level is: starts, stops, joins.
func (l *logger) print(s string) {
	h, ok := l.Handler().(*lineHandler)
	if !ok {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	_, _ = fmt.Fprintln(h.w, s)
}
