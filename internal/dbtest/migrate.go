package dbtest

import (
	"context"
	"log/slog"
)

func migrate(context.Context, string, *slog.Logger) error { return nil }
