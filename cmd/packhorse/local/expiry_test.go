package local

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"packhorse/internal/entra"
)

// TestExpiryIsToldOnceADay: once a day for each credential, until its replacement is accepted. Tenants that share a
// credential do not repeat it.
func TestExpiryIsToldOnceADay(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&out, nil))
	start := time.Date(2026, time.November, 24, 9, 0, 0, 0, time.UTC)
	now := start
	var e expiry
	told := func(accepted entra.Standing, after time.Duration, want int) {
		t.Helper()
		for range after / (20 * time.Second) {
			now = now.Add(20 * time.Second)
			for range 3 { // tenants
				e.look(t.Context(), accepted, now, logger)
			}
		}
		if n := strings.Count(out.String(), "WARN"); n != want {
			t.Errorf("after %v: told %d times, want %d:\n%s", now.Sub(start), n, want, out.String())
		}
	}
	told(entra.Standing{}, time.Minute, 0) // before the first token
	old := entra.Standing{Name: "the certificate A1", Expires: start.Add(12*24*time.Hour + time.Hour)}
	told(old, time.Minute, 1)
	if !strings.Contains(out.String(), `credential="the certificate A1" expires=`+old.Expires.UTC().Format(time.DateOnly)+" days=12") {
		t.Errorf("told %s", out.String())
	}
	told(old, 23*time.Hour, 1)
	told(old, time.Hour, 2)
	told(old, 24*time.Hour, 3)
	told(entra.Standing{Name: "the certificate B2", Expires: start.Add(300 * 24 * time.Hour)}, 48*time.Hour, 3)
	told(entra.Standing{Name: "the client secret", Expires: start}, time.Minute, 4)
	if !strings.Contains(out.String(), "has expired by its date") {
		t.Errorf("told %s", out.String())
	}
	told(entra.Standing{Name: "the federated identity"}, 48*time.Hour, 4)
}
