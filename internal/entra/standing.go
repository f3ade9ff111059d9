package entra

import (
	"time"

	"packhorse/internal/tenant"
)

// Standing is the proof that Entra ID accepted last.
type Standing struct {
	Kind    tenant.Kind
	Name    string    // what people know it by
	Expires time.Time // zero if unknown, or if it never does
}

// Standing returns the proof that Entra ID accepted last, or the zero value before the first token.
func (s *TokenSource) Standing() Standing {
	if last := s.standing.Load(); last != nil {
		return *last
	}
	return Standing{}
}
