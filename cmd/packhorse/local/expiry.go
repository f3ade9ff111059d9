package local

import (
	"context"
	"log/slog"
	"time"

	"packhorse/internal/entra"
)

const (
	// expiryWarned is how long before it expires a credential is due for replacement, as in packhorse doctor.
	expiryWarned = 30 * 24 * time.Hour

	// expiryRepeated is how often a run says so, and expiryLooked how often it looks: a replacement counts with the
	// next token.
	expiryRepeated = 24 * time.Hour
	expiryLooked   = time.Minute
)

// expiry warns that the credential which Entra ID accepted expires soon.
type expiry struct {
	logger *slog.Logger
	warned time.Time
}

// watch looks until ctx ends.
func (e *expiry) watch(ctx context.Context, standing func() entra.Standing, now func() time.Time) {
	ticker := time.NewTicker(expiryLooked)
	defer ticker.Stop()
	for {
		e.look(ctx, standing(), now())
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// look warns, at most once a day.
func (e *expiry) look(ctx context.Context, s entra.Standing, now time.Time) {
	left := s.Expires.Sub(now)
	if s.Expires.IsZero() || left > expiryWarned || !e.warned.IsZero() && now.Sub(e.warned) < expiryRepeated {
		return
	}
	e.warned = now
	known := []any{
		slog.String("credential", s.Name), slog.String("expires", s.Expires.UTC().Format(time.DateOnly)),
		slog.Int("days", int(max(0, left.Hours()/24))),
	}
	if left <= 0 {
		e.logger.WarnContext(ctx, "the credential has expired by its date: replace it as docs/credentials.md says", known...)
		return
	}
	e.logger.WarnContext(ctx, "the credential expires soon: replace it as docs/credentials.md says", known...)
}
