package pipeline

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"packhorse/internal/fetch"
	"packhorse/internal/investigation"
	"packhorse/internal/poll"
)

// Config holds the parts and settings of a pipeline.
type Config struct {
	// Dependencies of the use cases.
	Defender Defender
	Ledger   Ledger
	Archive  fetch.Archive
	Space    fetch.Space
	Custody  fetch.Custody
	Budget   Budget // of links

	// The tenant, and how its packages are found.
	TenantID  string
	Simulated bool // whether the tenant is simulated
	Cases     investigation.CasePattern
	Lookback  time.Duration // how far back the tenant's actions are listed
	Every     time.Duration // pause between sweeps while an action is young or ready

	// How packages are stored.
	Prefix   string        // of every object key
	Lease    time.Duration // how long the package of a killed process stays claimed
	NewOwner func() string

	// Mendable reports whether an error is a wrong setting or a rejected credential. Waiting does not help
	// then: before its first successful sweep, the pipeline ends with such an error.
	Mendable func(error) bool

	// Failing is told why the tenant's work fails, and nil when it succeeds again.
	Failing func(error)
	// Quiet logs failures of steps at debug level only: among many tenants, whoever is told of them decides what a
	// person sees.
	Quiet bool

	Heartbeat time.Duration // how often an unchanged health is stored again
	Share     *Share        // with the pipelines of other tenants

	Reporter Reporter
	Now      func() time.Time
	Logger   *slog.Logger
}

// New connects both use cases to each other and to the reporter.
func New(c Config) *Pipeline {
	b := newBus(c.Reporter)
	ledger := reportedLedger{Ledger: c.Ledger, reporter: c.Reporter}
	archive := reportedArchive{Archive: c.Archive, reporter: c.Reporter, budget: func(ctx context.Context) {
		// The loop reads the budget, too: a failure that lasts ends the run there.
		_, _ = reportBudget(ctx, c.TenantID, c.Budget, c.Reporter)
	}}
	fetcher := fetch.New(fetch.Config{
		Defender: c.Defender,
		Ledger:   ledger,
		Archive:  archive,
		Space:    c.Space,
		Bus:      b,
		Custody:  c.Custody,
		Prefix:   c.Prefix,
		Lease:    c.Lease,
		Now:      c.Now,
		NewOwner: c.NewOwner,
		Logger:   c.Logger,
	})
	p := &Pipeline{
		poller: poll.New(poll.Config{
			Defender:   c.Defender,
			Ledger:     ledger,
			Health:     c.Ledger,
			Bus:        b,
			Budget:     c.Budget,
			TenantID:   c.TenantID,
			Cases:      c.Cases,
			Lookback:   c.Lookback,
			SweepEvery: c.Every,
			Heartbeat:  c.Heartbeat,
			Now:        c.Now,
			Logger:     c.Logger,

			ConcludeAtOnce: concludeAtOnce,
		}),
		budget: c.Budget, open: c.Ledger, tenantID: c.TenantID, simulated: c.Simulated,
		mendable: c.Mendable, share: c.Share, failing: c.Failing, level: slog.LevelWarn,
		reporter: c.Reporter, now: c.Now, logger: c.Logger, bad: map[string]bool{}, left: make(chan struct{}),
	}
	p.workers = newWorkers(fetcher, b, c.Share, p.left, c.Reporter, c.Now, c.Logger)
	p.leave = sync.OnceFunc(func() { close(p.left) })
	if c.Quiet {
		p.level = slog.LevelDebug
	}
	return p
}
