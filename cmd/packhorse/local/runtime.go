// Package local runs Packhorse on one machine: Open connects a run to SQLite and an embedded S3 server (or the
// user's own bucket), Run does the work, and Result returns the outcome.
package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"packhorse/cmd/packhorse/datafolder"
	"packhorse/cmd/packhorse/embedded"
	"packhorse/cmd/packhorse/local/pipeline"
	"packhorse/cmd/packhorse/simulation"
	"packhorse/internal/custody"
	"packhorse/internal/defender"
	"packhorse/internal/entra"
	"packhorse/internal/fetch"
	"packhorse/internal/manifest"
	"packhorse/internal/poll"
	"packhorse/internal/settings"
)

// lease is how long the package of a killed process stays claimed. Live processes renew their leases.
const lease = 30 * time.Second

// ErrStopped reports that a run was interrupted before it was idle.
var ErrStopped = pipeline.ErrStopped

// Reporter shows the progress of a run.
type Reporter = pipeline.Reporter

// Runtime holds the open resources of one run. It MUST be closed.
type Runtime struct {
	options   Options // Data is absolute
	settings  settings.Settings
	simulated bool               // whether the tenant is simulated, in this process or another
	tenant    *simulation.Tenant // nil unless it is simulated in this process
	db        *embedded.DB
	ledger    *embedded.Ledger
	counter   *embedded.Counter
	store     store
	signer    *custody.Local
	custody   *custody.Writer
	app       *defender.App
	defender  defender.Client

	closers []func() error // in the order of opening
}

// Open opens everything a run needs. It checks the likeliest faults first: the settings, the data folder, the
// credential, then the disk and the archive. Open creates nothing before it gets the first token, and does
// not call the Defender API.
func Open(ctx context.Context, o Options, logger *slog.Logger) (_ *Runtime, err error) {
	r := &Runtime{options: o}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	r.options.Data, err = filepath.Abs(o.Data) // the embedded S3 server changes the working directory
	if err != nil {
		return nil, fmt.Errorf("resolve the data folder: %w", err)
	}
	err = r.prepare(ctx, logger)
	if err != nil {
		return nil, err
	}
	r.db, err = embedded.OpenDB(ctx, filepath.Join(r.options.Data, datafolder.Database))
	if err != nil {
		return nil, err
	}
	r.onClose(r.db.Close)
	r.ledger, r.counter = embedded.NewLedger(r.db), embedded.NewCounter(r.db)
	if o.Simulate > 0 {
		err = r.simulate(ctx)
		if err != nil {
			return nil, err
		}
	}
	r.store, err = openStore(ctx, r.options, r.settings.Lock(), logger)
	if err != nil {
		return nil, err
	}
	r.onClose(r.store.close)
	err = r.openCustody(ctx)
	if err != nil {
		return nil, err
	}
	return r, r.openDefender(logger)
}

// prepare parses the settings, checks the data folder, gets a token, and only then creates the folder. A
// simulation gets its settings later and does not need a token: its credential cannot be wrong.
func (r *Runtime) prepare(ctx context.Context, logger *slog.Logger) error {
	var err error
	r.simulated = r.options.Simulate > 0
	if !r.simulated {
		environ := settings.Map(r.options.Environ)
		if r.options.Credential != "" {
			environ[settings.VarCredential] = string(r.options.Credential)
		}
		r.settings, err = settings.ParseCLI(environ)
		if err != nil {
			return err
		}
		r.simulated = r.settings.TenantID == simulation.TenantID()
	}
	origin := datafolder.Origin{Simulated: r.simulated}
	err = datafolder.Check(ctx, r.options.Data, origin, logger)
	if err != nil {
		return err
	}
	if r.options.Simulate == 0 {
		err = r.firstToken(ctx, logger)
		if err != nil {
			return err
		}
	}
	return datafolder.Claim(ctx, r.options.Data, origin, logger)
}

// firstToken gets a token. If Entra ID cannot be reached, it retries.
func (r *Runtime) firstToken(ctx context.Context, logger *slog.Logger) error {
	err := r.openApp(ctx)
	if err != nil {
		return err
	}
	patience := pipeline.Patience{
		UntilIdle: r.options.UntilIdle, Mendable: mendable, Now: time.Now, Logger: logger,
	}
	return patience.Await(ctx, func(ctx context.Context) error {
		err := r.app.SignIn(ctx)
		if err != nil && ctx.Err() == nil {
			r.noteFailure(ctx, err, logger)
		}
		return err
	})
}

// noteFailure stores in a database that exists already that the tenant cannot be listed: whoever asks for the status
// later shall see why. It never creates one.
func (r *Runtime) noteFailure(ctx context.Context, failure error, logger *slog.Logger) {
	path := filepath.Join(r.options.Data, datafolder.Database)
	_, err := os.Stat(path)
	if err != nil {
		return
	}
	db, err := embedded.OpenDB(ctx, path)
	if err == nil {
		err = poll.NoteFailure(ctx, embedded.NewLedger(db), r.settings.TenantID, time.Now(), failure)
		err = errors.Join(err, db.Close())
	}
	if err != nil {
		logger.WarnContext(ctx, "could not store how well the sweeps work", slog.String("error", err.Error()))
	}
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

// simulate starts the simulated tenant and applies its settings.
func (r *Runtime) simulate(ctx context.Context) (err error) {
	r.tenant, err = simulation.Resume(ctx, r.options.Data, r.options.Credential,
		simulation.Plan{Seed: r.options.Seed, Actions: r.options.Simulate, Sizes: r.options.Sizes}, r.ledger)
	if err != nil {
		return fmt.Errorf("start the simulator: %w", err)
	}
	r.onClose(r.tenant.Close)
	r.settings, err = settings.ParseCLI(settings.Map(append(r.tenant.Environ(),
		"DEFENDER_CA_PEM="+string(r.tenant.RootPEM()),
		"SWEEP_INTERVAL=5s"))) // the shortest allowed: a person is watching
	if err != nil {
		return err
	}
	return r.openApp(ctx)
}

// openCustody opens the signing key and checks that signed manifests can be stored and verified later.
func (r *Runtime) openCustody(ctx context.Context) error {
	var err error
	r.signer, err = custody.OpenLocal(r.options.Data)
	if err != nil {
		return err
	}
	r.custody = custody.NewWriter(r.signer, r.store.bucket, r.settings.Lock(), r.provenance, time.Now)
	return fetch.NewPreflight(r.store.archive, r.custody).Run(ctx)
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

// openApp configures the tenant's app registration, which can then request tokens.
func (r *Runtime) openApp(ctx context.Context) error {
	roots, err := r.settings.RootCAs()
	if err != nil {
		return err
	}
	credential, err := r.credential(ctx)
	if err != nil {
		return err
	}
	r.app = defender.NewApp(defender.Tenant{
		ID: r.settings.TenantID, ClientID: r.settings.ClientID,
		APIURL: r.settings.APIURL, AuthorityURL: r.settings.AuthorityURL,
		Scope: r.settings.Scope, LinkHosts: r.settings.LinkHosts, Credential: credential,
		Links: defender.Limits{
			PerMinute: r.settings.PackageURIPerMinute, PerHour: r.settings.PackageURIPerHour,
		},
	}, defender.Transport(roots), time.Now)
	return nil
}

// openDefender creates the Defender client. The database counts all of its calls.
func (r *Runtime) openDefender(logger *slog.Logger) error {
	var err error
	r.defender, err = r.app.Client(defender.Counters{Links: r.counter, Lists: r.counter}, rand.Text, logger)
	return err
}

// credential returns how the app proves who it is. It reads the user's AWS configuration only if that is where
// the credential comes from.
func (r *Runtime) credential(ctx context.Context) (entra.Credential, error) {
	identity := defender.Identity{
		Credential: r.settings.TenantCredential(), Audience: r.settings.TokenExchangeAudience(),
		Secret: r.settings.ClientSecret.Reveal(),
	}
	if identity.Credential.UsesAWS() {
		var err error
		identity.AWS, err = r.awsConfig(ctx)
		if err != nil {
			return nil, err
		}
	}
	return defender.NewCredential(identity, time.Now), nil
}

// Run works until the context ends or, with UntilIdle, until nothing is left to do. Result is also valid after
// [ErrStopped] and after an error that wraps investigation.ErrBadRecord.
func (r *Runtime) Run(ctx context.Context, reporter Reporter, logger *slog.Logger) error {
	watching, stop := context.WithCancel(ctx)
	var watcher sync.WaitGroup
	watcher.Go(func() { (&expiry{logger: logger}).watch(watching, r.app.Standing, time.Now) })
	defer watcher.Wait()
	defer stop()
	return pipeline.New(pipeline.Config{
		Defender: r.defender, Ledger: r.ledger, Archive: r.store.archive, Space: r.store.space, Custody: r.custody,
		Budget:    r.defender.Gauge,
		TenantID:  r.settings.TenantID,
		Simulated: r.simulated,
		Cases:     r.settings.CasePattern,
		Lookback:  r.settings.Lookback,
		Every:     r.settings.SweepInterval,
		Prefix:    r.settings.ArchivePrefix,
		Lease:     lease,
		NewOwner:  newOwner,
		Mendable:  mendable,
		Reporter:  reporter, Now: time.Now, Logger: logger,
	}).Run(ctx, r.options.UntilIdle)
}

// newOwner returns a unique owner name that starts with the process id, for people who read the ledger.
func newOwner() string { return fmt.Sprintf("%d-%s", os.Getpid(), rand.Text()) }
