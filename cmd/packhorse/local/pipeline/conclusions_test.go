package pipeline_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"packhorse/cmd/packhorse/embedded"
	"packhorse/cmd/packhorse/local/pipeline"
	"packhorse/internal/archive"
	"packhorse/internal/custody"
	"packhorse/internal/fetch"
	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
	"packhorse/internal/ratelimit"
)

// BenchmarkConclusions concludes actions that Defender ended without a package, as `packhorse run` does after a long
// time without it: with the ledger, the archive and the signing key in a data folder. PACKHORSE_ACTIONS is their
// number.
func BenchmarkConclusions(b *testing.B) {
	n := 1_000
	if text := os.Getenv("PACKHORSE_ACTIONS"); text != "" {
		var err error
		n, err = strconv.Atoi(text)
		if err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		b.StopTimer()
		p, close := concluder(b, b.TempDir(), n)
		cpu := cpuTime(b)
		b.StartTimer()
		began := time.Now()
		err := p.Run(b.Context(), true)
		took := time.Since(began)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(n)/took.Seconds(), "conclusions/s")
		b.ReportMetric((cpuTime(b)-cpu).Seconds()*1e3/float64(n), "cpu-ms/conclusion")
		b.StopTimer()
		close()
		b.StartTimer()
	}
}

// concluder returns a pipeline over a data folder whose ledger has n actions that ended without a package.
func concluder(b *testing.B, dir string, n int) (p *pipeline.Pipeline, close func()) {
	b.Helper()
	ctx := context.Background()
	check := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	db, err := embedded.OpenDB(ctx, filepath.Join(dir, "packhorse.db"))
	check(err)
	ledger := embedded.NewLedger(db)
	began := time.Now()
	for i := range n {
		created := began.Add(-time.Duration(n-i) * time.Second).UTC().Truncate(time.Second)
		a := investigation.Action{
			ID: investigation.ID{TenantID: tenant, ActionID: fmt.Sprintf("%040x", i)}, Status: investigation.StatusFailed,
			MachineID: fmt.Sprintf("%040x", i), ComputerDNSName: fmt.Sprintf("fin-ws-%05d.contoso.com", i), RequestSource: "Portal",
			Requestor: "ana@contoso.com", RequestorComment: "INC-1 suspicious PowerShell", CreatedAt: created, LastUpdatedAt: created,
		}
		_, err := ledger.Change(ctx, a.ID, investigation.Observe(a, began))
		check(err)
	}
	b.Logf("%d actions were observed, %.0f a second", n, float64(n)/time.Since(began).Seconds())
	server, err := embedded.StartS3(ctx, embedded.S3Config{Dir: filepath.Join(dir, "s3"), Bucket: "evidence", ObjectLock: true})
	check(err)
	signer, err := custody.OpenLocal(dir)
	check(err)
	lock := investigation.Lock{Mode: "GOVERNANCE", For: 30 * 24 * time.Hour}
	quiet := slog.New(slog.DiscardHandler)
	bucket := archive.New(server.Client(), "evidence", lock, archive.PartSize, archive.PartsInFlight, time.Now, quiet)
	writer := custody.NewWriter(signer, "evidence", lock, func(context.Context) (manifest.Provenance, error) {
		return manifest.Provenance{Version: "1.0.0", Principal: "ana@host"}, nil
	}, time.Now)
	check(fetch.NewPreflight(bucket, writer).Run(ctx))
	s := newWorld()
	budget := ratelimit.Budget{Name: "links", PerMinute: 2, PerHour: 120}
	p = pipeline.New(pipeline.Config{
		Defender: s, Ledger: ledger, Archive: bucket, Space: s, Custody: writer,
		Budget:   ratelimit.NewGauge(embedded.NewCounter(db), budget),
		TenantID: tenant, Lookback: 168 * time.Hour, Every: 10 * time.Second,
		Prefix: "packages/", Lease: time.Minute, NewOwner: rand.Text,
		Mendable: func(error) bool { return false },
		Failing:  func(error) {}, Heartbeat: 55 * time.Second, Share: pipeline.NewShare(),
		Reporter: s, Now: time.Now, Logger: quiet,
	})
	return p, func() {
		check(server.Close())
		check(db.Close())
	}
}

// cpuTime returns how long this process has used a processor.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
