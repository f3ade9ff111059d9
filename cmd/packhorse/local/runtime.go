// Package local runs Packhorse on one machine: Open connects a run to SQLite and an embedded S3 server (or the
// user's own bucket), Run serves the tenants, and Results returns the outcome.
package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"strconv"
	"sync/atomic"
	"time"

	"packhorse/cmd/packhorse/embedded"
	"packhorse/cmd/packhorse/local/pipeline"
	"packhorse/cmd/packhorse/simulation"
	"packhorse/internal/custody"
	"packhorse/internal/defender"
	"packhorse/internal/entra"
	"packhorse/internal/manifest"
	"packhorse/internal/roster"
	"packhorse/internal/settings"
	"packhorse/internal/tenant"
	"packhorse/internal/tenantapp"
)

// lease is how long the package of a killed process stays claimed. Live processes renew their leases.
const lease = 30 * time.Second

// ErrStopped reports that a run was interrupted before it was idle.
var ErrStopped = pipeline.ErrStopped

// Reporter shows the progress of a run.
type Reporter = pipeline.Reporter

// Runtime holds the open resources of one run. It MUST be closed.
type Runtime struct {
	options    Options // Data is absolute
	logger     *slog.Logger
	base       settings.Base
	roster     *roster.Roster
	simulated  bool             // whether the tenants are simulated, in this process or another
	site       *simulation.Site // nil unless they are simulated in this process
	db         *embedded.DB
	ledger     *embedded.Ledger
	counter    *embedded.Counter
	registry   *embedded.Registry
	places     *places
	signer     *custody.Local
	share      *pipeline.Share
	transports defender.Transports
	first      atomic.Pointer[opened] // the tenant of the environment, if it was alone at the start
	crew       *crew                  // once Run was called

	closers []func() error // in the order of opening
}

func (r *Runtime) onClose(f func() error) { r.closers = append(r.closers, f) }

// Close closes everything open, in reverse order. It may be called more than once.
func (r *Runtime) Close() error {
	var failures []error
	for len(r.closers) > 0 {
		last := len(r.closers) - 1
		failures = append(failures, r.closers[last]())
		r.closers = r.closers[:last]
	}
	return errors.Join(failures...)
}

// provenance returns what manifests record about this program and the user who runs it.
func (r *Runtime) provenance(context.Context) (manifest.Provenance, error) {
	host, err := os.Hostname()
	if err != nil {
		return manifest.Provenance{}, fmt.Errorf("get the host name: %w", err)
	}
	name := strconv.Itoa(os.Getuid()) // for users without a name, as in some containers
	if who, err := user.Current(); err == nil {
		name = who.Username
	}
	return manifest.Provenance{
		Simulated: r.simulated, Version: r.options.Version, Commit: r.options.Commit, Principal: name + "@" + host,
	}, nil
}

// opened is a tenant with everything that its work needs.
type opened struct {
	settings  settings.Settings
	heartbeat time.Duration
	app       *defender.App
	defender  defender.Client
	place     *place
}

// openMember opens a tenant, one of so many. It sends nothing to Defender. first may have the app already.
func (r *Runtime) openMember(ctx context.Context, m roster.Member, tenants int, first *opened) (_ *opened, err error) {
	o := &opened{settings: m.Settings, heartbeat: tenant.Heartbeat(tenants)}
	if simulated := simulation.IsTenant(m.Settings.TenantID); simulated != r.simulated {
		return nil, &mixedError{simulated}
	}
	if first != nil {
		o.app = first.app
	} else {
		o.app, err = r.newApp(ctx, m.Settings)
		if err != nil {
			return nil, err
		}
	}
	own := m.Settings.TenantID == r.base.OwnID()
	o.place, err = r.places.of(ctx, m.Settings, own, r.signer, r.provenance)
	if err != nil {
		return nil, err
	}
	// The database counts all calls.
	o.defender, err = o.app.Client(defender.Counters{Links: r.counter, Lists: r.counter}, rand.Text, r.logger)
	return o, err
}

// mixedError reports a tenant that does not belong in the data folder.
type mixedError struct{ simulated bool }

func (e *mixedError) Error() string {
	if e.simulated {
		return "the tenant is simulated, and the data directory holds evidence: remove it from the registry"
	}
	return "the data directory holds a simulation, and never serves a real tenant: remove it from the registry"
}

// newApp configures a tenant's app registration, which can then request tokens.
func (r *Runtime) newApp(ctx context.Context, s settings.Settings) (*defender.App, error) {
	transport, err := r.transports.For(s.CAPEM, s.RootCAs)
	if err != nil {
		return nil, err
	}
	credential, err := tenantapp.Credential(ctx, s, r.awsConfig, time.Now)
	if err != nil {
		return nil, err
	}
	return tenantapp.New(s, credential, transport, time.Now), nil
}

// Run works until the context ends or, with UntilIdle, until nothing is left to do. Results are also valid after
// [ErrStopped], after an error that wraps investigation.ErrBadRecord and after an *[UnservedError].
func (r *Runtime) Run(ctx context.Context, reporter Reporter) error {
	r.crew = newCrew(crewConfig{
		ownID: r.base.OwnID(), members: r.roster.All, untilIdle: r.options.UntilIdle,
		open:     func(ctx context.Context, h *hand) (line, error) { return r.openLine(ctx, h, reporter) },
		unopened: r.noteFailure, reporter: reporter, now: time.Now, logger: r.logger,
	})
	return r.crew.run(ctx)
}

// pipelineOf is the pipeline of an open tenant.
type pipelineOf struct {
	*pipeline.Pipeline
	app *defender.App
}

// Standing implements line.
func (p pipelineOf) Standing() entra.Standing { return p.app.Standing() }

// openLine opens the pipeline of a hand's tenant. The tenant that was alone at the start is open already.
func (r *Runtime) openLine(ctx context.Context, h *hand, reporter Reporter) (line, error) {
	o := r.first.Swap(nil)
	if o == nil || o.settings.TenantID != h.member.Settings.TenantID {
		var err error
		o, err = r.openMember(ctx, h.member, h.tenants, nil)
		if err != nil {
			return nil, err
		}
	}
	return pipelineOf{app: o.app, Pipeline: pipeline.New(pipeline.Config{
		Defender: o.defender, Ledger: r.ledger, Archive: o.place.archive, Space: r.places.space, Custody: o.place.custody,
		Budget:    o.defender.Gauge,
		TenantID:  o.settings.TenantID,
		Simulated: r.simulated,
		Cases:     o.settings.CasePattern,
		Lookback:  o.settings.Lookback,
		Every:     o.settings.SweepInterval,
		Prefix:    o.settings.ArchivePrefix,
		Lease:     lease,
		NewOwner:  newOwner,
		Mendable:  mendable,
		Failing:   h.failing,
		Quiet:     h.quiet,
		Heartbeat: o.heartbeat,
		Share:     r.share,
		Reporter:  reporter, Now: time.Now, Logger: h.logger,
	})}, nil
}

// newOwner returns a unique owner name that starts with the process id, for people who read the ledger.
func newOwner() string { return fmt.Sprintf("%d-%s", os.Getpid(), rand.Text()) }
