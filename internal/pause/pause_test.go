package pause_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"packhorse/internal/pause"
)

func TestForLastsAsLongAsAsked(t *testing.T) {
	for _, d := range []time.Duration{-time.Second, 0, time.Millisecond, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			err := pause.For(t.Context(), d)
			if got, want := time.Since(began), max(d, 0); err != nil || got != want {
				t.Errorf("For(%v) took %v, %v", d, got, err)
			}
		})
	}
}

func TestForEndsWithTheContext(t *testing.T) {
	stopped := errors.New("stopped")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { cancel(stopped) })
		began := time.Now()
		err := pause.For(ctx, time.Hour)
		if got := time.Since(began); got != time.Minute || !errors.Is(err, stopped) {
			t.Errorf("got %v after %v, want %v after a minute", err, got, stopped)
		}
		ctx, cancelled := context.WithTimeout(t.Context(), time.Minute)
		defer cancelled()
		if err := pause.For(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
		}
	})
}
