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

	// expiryRepeated is how often a run says so. A replacement counts with the next token.
	expiryRepeated = 24 * time.Hour
)

// expiry warns that credentials which Entra ID accepted expire soon.
type expiry struct{ warned map[credential]time.Time }

// credential is one that several tenants may share.
type credential struct {
	name    string
	expires time.Time
}

// look warns of a credential, at most once a day.
func (e *expiry) look(ctx context.Context, s entra.Standing, now time.Time, logger *slog.Logger) {
	left := s.Expires.Sub(now)
	known := credential{s.Name, s.Expires}
	warned, again := e.warned[known]
	if s.Expires.IsZero() || left > expiryWarned || again && now.Sub(warned) < expiryRepeated {
		return
	}
	if e.warned == nil {
		e.warned = map[credential]time.Time{}
	}
	e.warned[known] = now
	facts := []any{
		slog.String("credential", s.Name), slog.String("expires", s.Expires.UTC().Format(time.DateOnly)),
		slog.Int("days", int(max(0, left.Hours()/24))),
	}
	if left <= 0 {
		logger.WarnContext(ctx, "the credential has expired by its date: replace it as docs/credentials.md says", facts...)
		return
	}
	logger.WarnContext(ctx, "the credential expires soon: replace it as docs/credentials.md says", facts...)
}
