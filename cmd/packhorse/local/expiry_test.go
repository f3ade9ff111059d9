package local

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"packhorse/internal/entra"
)

// heard is what was logged.
type heard struct {
	mu   sync.Mutex
	text strings.Builder
}

func (h *heard) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.Write(p)
}

func (h *heard) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.String()
}

// TestExpiryIsToldOnceADay: at the start and then once a day, until the replacement is accepted.
func TestExpiryIsToldOnceADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out heard
		start := time.Now()
		old := entra.Standing{Name: "the certificate A1", Expires: start.Add(12*24*time.Hour + time.Hour)}
		var accepted atomic.Pointer[entra.Standing]
		accepted.Store(&entra.Standing{}) // before the first token
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			e := expiry{logger: slog.New(slog.NewTextHandler(&out, nil))}
			e.watch(ctx, func() entra.Standing { return *accepted.Load() }, time.Now)
		}()
		told := func(after time.Duration, want int) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			if n := strings.Count(out.String(), "WARN"); n != want {
				t.Errorf("after %v: told %d times, want %d:\n%s", time.Since(start), n, want, out.String())
			}
		}
		told(time.Second, 0)
		accepted.Store(&old)
		told(2*time.Minute, 1)
		if !strings.Contains(out.String(), `credential="the certificate A1" expires=`+old.Expires.UTC().Format(time.DateOnly)+" days=12") {
			t.Errorf("told %s", out.String())
		}
		told(23*time.Hour, 1)
		told(time.Hour, 2)
		told(24*time.Hour, 3)
		accepted.Store(&entra.Standing{Name: "the certificate B2", Expires: start.Add(300 * 24 * time.Hour)})
		told(48*time.Hour, 3)
		accepted.Store(&entra.Standing{Name: "the client secret", Expires: start})
		told(2*time.Minute, 4)
		if !strings.Contains(out.String(), "has expired by its date") {
			t.Errorf("told %s", out.String())
		}
		accepted.Store(&entra.Standing{Name: "the federated identity"})
		told(48*time.Hour, 4)
		stop()
		<-ended
	})
}
