package outboard

import (
	"context"
	"log/slog"
	"slices"
)

// Handler gives a handler for package log/slog that writes to the plugin's log. [Plugin.Run] makes it the default one.
func (h *Host) Handler() slog.Handler { return &logHandler{host: h} }

type logHandler struct {
	host   *Host
	groups []string
	attrs  []scoped
}

// scoped is an attribute with the groups that were open when it was added.
type scoped struct {
	groups []string
	attr   slog.Attr
}

func (l *logHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelDebug
}

func (l *logHandler) Handle(_ context.Context, record slog.Record) error {
	fields := map[string]any{}
	for _, s := range l.attrs {
		put(fields, s.groups, s.attr)
	}
	record.Attrs(func(attr slog.Attr) bool {
		put(fields, l.groups, attr)
		return true
	})
	l.host.Log(hostLevel(record.Level), record.Message, fields)
	return nil
}

func (l *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *l
	with.attrs = slices.Clip(l.attrs)
	for _, attr := range attrs {
		with.attrs = append(with.attrs, scoped{l.groups, attr})
	}
	return &with
}

func (l *logHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return l
	}
	with := *l
	with.groups = append(slices.Clip(l.groups), name)
	return &with
}

func put(fields map[string]any, groups []string, attr slog.Attr) {
	for _, group := range groups {
		inner, is := fields[group].(map[string]any)
		if !is {
			inner = map[string]any{}
			fields[group] = inner
		}
		fields = inner
	}
	value := attr.Value.Resolve()
	switch {
	case attr.Equal(slog.Attr{}):
	case value.Kind() == slog.KindGroup && attr.Key == "":
		for _, inner := range value.Group() {
			put(fields, nil, inner)
		}
	case value.Kind() == slog.KindGroup:
		for _, inner := range value.Group() {
			put(fields, []string{attr.Key}, inner)
		}
	case value.Kind() == slog.KindDuration:
		fields[attr.Key] = value.Duration().String()
	default:
		fields[attr.Key] = plain(value.Any())
	}
}

// plain makes a text of an error, whose own JSON is mostly empty.
func plain(value any) any {
	if err, is := value.(error); is {
		return err.Error()
	}
	return value
}

func hostLevel(level slog.Level) Level {
	switch {
	case level >= slog.LevelError:
		return LevelError
	case level >= slog.LevelWarn:
		return LevelWarn
	case level >= slog.LevelInfo:
		return LevelInfo
	default:
		return LevelDebug
	}
}
