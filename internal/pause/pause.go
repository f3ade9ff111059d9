// Package pause waits, and stops waiting when the context ends.
package pause

import (
	"context"
	"time"
)

// For returns nil after d, or the context's cause if the context ends first.
func For(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
