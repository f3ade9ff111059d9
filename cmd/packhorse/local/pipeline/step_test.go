package pipeline_test

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"packhorse/cmd/packhorse/embedded"
	"packhorse/cmd/packhorse/embedded/ledgertest"
	"packhorse/cmd/packhorse/local/pipeline"
	"packhorse/internal/investigation"
	"packhorse/internal/ratelimit"
)

// counted counts the calls to a ledger, and the records it returns.
type counted struct {
	pipeline.Ledger
	calls, records int
}

func (c *counted) count(records []investigation.Record, err error) ([]investigation.Record, error) {
	c.calls++
	c.records += len(records)
	return records, err
}

func (c *counted) Open(ctx context.Context, tenantID string) ([]investigation.Record, error) {
	return c.count(c.Ledger.Open(ctx, tenantID))
}

func (c *counted) Load(ctx context.Context, ids []investigation.ID) ([]investigation.Record, error) {
	return c.count(c.Ledger.Load(ctx, ids))
}

func (c *counted) Due(ctx context.Context, tenantID string, lane investigation.Lane, now time.Time, limit int) (
	[]investigation.Record, error,
) {
	return c.count(c.Ledger.Due(ctx, tenantID, lane, now, limit))
}

// stepper returns a pipeline over a ledger in a file with that many finished records. Its workers do not run.
func stepper(tb testing.TB, done int) (p *pipeline.Pipeline, ledger *counted, path string) {
	tb.Helper()
	path = filepath.Join(tb.TempDir(), "packhorse.db")
	ledgertest.Fill(tb, path, tenant, done, time.Now())
	db, err := embedded.OpenDB(context.Background(), path)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	ledger = &counted{Ledger: embedded.NewLedger(db)}
	s := newWorld()
	budget := ratelimit.Budget{Name: "links", PerMinute: 2, PerHour: 120}
	return pipeline.New(pipeline.Config{
		Defender: s, Ledger: ledger, Archive: s, Space: s, Custody: s,
		Budget:   ratelimit.NewGauge(embedded.NewCounter(db), budget),
		TenantID: tenant, Lookback: 168 * time.Hour, Every: 10 * time.Second,
		Prefix: "packages/", Lease: time.Minute, NewOwner: func() string { return "owner" },
		Mendable: func(error) bool { return false },
		Failing:  func(error) {}, Heartbeat: 55 * time.Second, Share: pipeline.NewShare(),
		Reporter: s, Now: time.Now, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}), ledger, path
}

// TestStepReadsNothingThatIsFinished: a step asks as much of a ledger with 5,000 finished records as of one with
// 50, and would not even notice if they were malformed.
func TestStepReadsNothingThatIsFinished(t *testing.T) {
	var want counted
	for _, done := range []int{50, 5_000} {
		p, ledger, path := stepper(t, done)
		raw, err := sql.Open("sqlite", path)
		if err == nil {
			_, err = raw.ExecContext(t.Context(), "UPDATE actions SET record = 'x' WHERE announced_at <> ''")
		}
		if err == nil {
			err = raw.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			_, idle, err := p.Step(t.Context())
			if err != nil || idle {
				t.Fatalf("%d finished: idle %t, %v", done, idle, err)
			}
		}
		got := counted{calls: ledger.calls, records: ledger.records}
		if open := ledgertest.Ready + ledgertest.Waiting; got.records != 3*(open+ledgertest.Ready) {
			t.Errorf("%d finished: three steps read %d records", done, got.records)
		}
		if done > 50 && got != want {
			t.Errorf("%d finished: got %+v, want %+v", done, got, want)
		}
		want = got
	}
}

// BenchmarkStep measures a step between sweeps in until-idle mode.
func BenchmarkStep(b *testing.B) {
	for _, done := range []int{100, 100_000} {
		b.Run(fmt.Sprint(done), func(b *testing.B) {
			p, _, _ := stepper(b, done)
			steps, used := 0, cpuTime(b)
			for ; b.Loop(); steps++ {
				_, idle, err := p.Step(b.Context())
				if err != nil || idle {
					b.Fatalf("idle %t, %v", idle, err)
				}
			}
			// On a busy machine, the time says more about the others.
			b.ReportMetric(float64((cpuTime(b)-used).Microseconds())/float64(steps), "cpu-µs/op")
		})
	}
}
