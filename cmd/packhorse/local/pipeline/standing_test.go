package pipeline_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

// slots is a budget of which every slot is taken.
type slots []time.Time

func (s slots) FreeAt(context.Context) ([]time.Time, error) { return s, nil }
func (slots) Hold() time.Duration                           { return time.Minute }

// TestReportsTheQueue: the reporter learns how many packages are ready, and when the link of the last one can be
// requested: here by the second call of the second slot, a turn of a minute and an exchange after its first.
func TestReportsTheQueue(t *testing.T) {
	today(t, func(t *testing.T) {
		s := newWorld(action(1, "Succeeded", time.Hour), action(2, "Succeeded", time.Hour),
			action(3, "Succeeded", time.Hour), action(4, "Succeeded", time.Hour), action(5, "Pending", 2*time.Hour))
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
		defer cancel()
		s.budget = slots{time.Now().Add(time.Hour), time.Now().Add(time.Hour + 20*time.Second)}
		if err := s.pipeline(io.Discard).Run(ctx, false); err != nil {
			t.Fatal(err)
		}
		want := []string{"ready", "ready", "ready", "ready", "waiting", "swept", "queued 4 until 10:01:21"}
		if got := s.told[:min(len(want), len(s.told))]; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		s.budget = nil
		s.told = nil
		if err := s.pipeline(io.Discard).Run(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		if len(s.stored) != 4 || !slices.Contains(s.told, "queued 0") {
			t.Errorf("stored %d, told %q", len(s.stored), s.told)
		}
	})
}

// TestReportsFailedSweeps: a sweep that fails is reported with its error, the first one and later ones, and so is
// the next that succeeds.
func TestReportsFailedSweeps(t *testing.T) {
	outage := errors.New("outage")
	today(t, func(t *testing.T) {
		s := newWorld(action(1, "Pending", 29*time.Minute))
		s.list = func(n int) error {
			if n == 1 || n == 3 {
				return outage
			}
			return nil
		}
		if err := s.pipeline(io.Discard).Run(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		want := []string{"sweep failed: list the tenant's actions: outage", "waiting", "swept",
			"sweep failed: list the tenant's actions: outage", "swept"}
		got := slices.DeleteFunc(s.told, func(word string) bool { return word == "queued 0" })
		if got = got[:min(len(want), len(got))]; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// TestDoesNotReportAnInterruptedSweep: a sweep that the end of the run interrupts did not fail.
func TestDoesNotReportAnInterruptedSweep(t *testing.T) {
	today(t, func(t *testing.T) {
		s := newWorld(action(1, "Pending", time.Minute))
		ctx, cancel := context.WithCancel(t.Context())
		s.list = func(n int) error {
			if n == 2 {
				cancel()
				return ctx.Err()
			}
			return nil
		}
		if err := s.pipeline(io.Discard).Run(ctx, false); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(s.told, ","); strings.ReplaceAll(got, ",queued 0", "") != "waiting,swept" {
			t.Errorf("got %s", got)
		}
	})
}
