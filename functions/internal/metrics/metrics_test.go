package metrics_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"packhorse/functions/internal/metrics"
	"packhorse/internal/fetch"
	"packhorse/internal/investigation"
	"packhorse/internal/poll"
	"packhorse/internal/ratelimit"
	"packhorse/internal/ratelimit/dynamocounter"
)

func at() time.Time { return time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC) }

// skewed is a counter that reports a wrong clock.
type skewed struct{ ratelimit.Counter }

func (skewed) Lease(context.Context, ratelimit.Budget, string, time.Time) (ratelimit.Decision, error) {
	return ratelimit.Decision{}, &dynamocounter.SkewError{Skew: -1500 * time.Millisecond}
}

func (skewed) Settle(context.Context, ratelimit.Budget, string, int, time.Time) error {
	return &dynamocounter.SkewError{Skew: 400 * time.Millisecond}
}

// TestLines compares what the functions write with lines that were checked against the
// specification.
func TestLines(t *testing.T) {
	var log strings.Builder
	meter := metrics.New(&log, "packhorse-poll", at)
	meter.Poll(poll.Answer{
		Sweeps: 6, Completed: 5, LongestSweepSeconds: 0.25, Seen: 3, Ready: 2, NotCollected: 1, HandedOver: 2, Due: 4,
		OldestReadySeconds: 90,
	}, at().AddDate(0, 0, 30))
	// Nothing carries over from the previous tick, and a failed sweep does not count as completed.
	meter.Poll(poll.Answer{Sweeps: 1, LongestSweepSeconds: 0.125}, time.Time{})

	meter = metrics.New(&log, "packhorse-fetch-package", at)
	budget := ratelimit.Budget{Name: "b", PerMinute: 1, PerHour: 60}
	counter := meter.Counter(ratelimit.NewMemory())
	decision, err := counter.Lease(t.Context(), budget, "me", at())
	if err != nil || !decision.Allowed {
		t.Fatalf("got %+v, %v", decision, err)
	}
	for range 2 {
		if d, err := counter.Lease(t.Context(), budget, "you", at()); err != nil || d.Allowed {
			t.Fatalf("got %+v, %v", d, err)
		}
	}
	if err := counter.Settle(t.Context(), budget, "me", decision.Slot, at()); err != nil {
		t.Fatal(err)
	}
	if err := counter.CoolDown(t.Context(), budget, at().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	meter.Fetch(fetch.Answer{Outcome: fetch.OutcomeArchived, Bytes: 1 << 40, ReadySeconds: 12.5})
	meter.Fetch(fetch.Answer{Outcome: fetch.OutcomeNotCollected})
	meter.Fetch(fetch.Answer{Outcome: fetch.OutcomeRefused}) // writes nothing

	counter = meter.Counter(skewed{})
	_, leaseErr := counter.Lease(t.Context(), budget, "me", at())
	settleErr := counter.Settle(t.Context(), budget, "me", 0, at())
	if leaseErr == nil || settleErr == nil {
		t.Fatalf("got %v and %v", leaseErr, settleErr)
	}
	meter.Fetch(fetch.Answer{Outcome: fetch.OutcomePostponed, Cause: investigation.CauseCounter})
	meter.Fetch(fetch.Answer{Outcome: fetch.OutcomePostponed, Cause: investigation.CauseBudget})
	meter.Fetch(fetch.Answer{Outcome: fetch.OutcomeArchived, Bytes: 1, Strangers: 2})

	golden, err := os.ReadFile(filepath.Join("testdata", "lines.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if log.String() != string(golden) {
		t.Errorf("got\n%swant\n%s", log.String(), golden)
	}
}

// Every metric used by an alarm is written by a function, and every metric has a unit.
func TestAlarmsAreMadeOfMetrics(t *testing.T) {
	template, err := os.ReadFile(filepath.Join("..", "..", "..", "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`Namespace: (\w+)\n +MetricName: (\w+)`).
		FindAllStringSubmatch(string(template), -1)
	if len(found) < 3 {
		t.Fatalf("got %d alarms on metrics of our own: %q", len(found), found)
	}
	for _, match := range found {
		if unit := metrics.Units[metrics.Name(match[2])]; unit == "" || match[1] != metrics.Namespace {
			t.Errorf("an alarm uses %q in %q, which nothing writes", match[2], match[1])
		}
	}
}

// One environment runs fetches one at a time, but a fetch renews its lease concurrently with its
// work.
func TestConcurrentUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		meter := metrics.New(&log, "f", at)
		counter := meter.Counter(ratelimit.NewMemory())
		for i := range 8 {
			go func() {
				_, _ = counter.Lease(t.Context(), ratelimit.Budget{Name: "b", PerMinute: 2, PerHour: 120},
					string(rune('a'+i)), at())
			}()
		}
		synctest.Wait()
		meter.Poll(poll.Answer{}, time.Time{})
		var line map[string]any
		if err := json.Unmarshal([]byte(log.String()), &line); err != nil {
			t.Fatal(err)
		}
		if line["BudgetLeased"] != 2.0 || line["BudgetDenied"] != 6.0 {
			t.Errorf("got %v", line)
		}
	})
}

// A credential's days are written when they are few, and never as zero or less, which would be left out: an
// expired one must not look like one that never expires.
func TestCredentialExpires(t *testing.T) {
	for left, want := range map[time.Duration]string{
		60*24*time.Hour + time.Second: "", 60 * 24 * time.Hour: `"CredentialExpiresDays":60,`, 36 * time.Hour: `"CredentialExpiresDays":1.5,`,
		0: `"CredentialExpiresDays":0.000`, -400 * 24 * time.Hour: `"CredentialExpiresDays":0.000`,
	} {
		var log strings.Builder
		metrics.New(&log, "packhorse-poll", at).Poll(poll.Answer{}, at().Add(left))
		if !strings.Contains(log.String(), want) || want == "" && log.Len() > 0 {
			t.Errorf("%v left: got %s", left, log.String())
		}
	}
	var log strings.Builder
	metrics.New(&log, "packhorse-poll", at).Poll(poll.Answer{}, time.Time{})
	if log.Len() > 0 {
		t.Errorf("got %s for a credential that never expires", log.String())
	}
}
