package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"packhorse/cmd/packhorse/datafolder"
	"packhorse/cmd/packhorse/embedded"
	"packhorse/cmd/packhorse/local/pipeline"
	"packhorse/cmd/packhorse/simulation"
	"packhorse/internal/custody"
	"packhorse/internal/poll"
	"packhorse/internal/roster"
	"packhorse/internal/settings"
)

// NoTenantError reports that neither the environment nor the registry has a tenant.
type NoTenantError struct{ err error } // about the environment

func (e *NoTenantError) Error() string { return e.err.Error() }

// Unwrap returns the *settings.Error about the environment.
func (e *NoTenantError) Unwrap() error { return e.err }

// Advice says what else there is to do.
func (*NoTenantError) Advice() string {
	return "set them, or packhorse tenant add registers tenants in the data directory"
}

// Open opens everything a run needs. It checks the likeliest faults first: the settings, the data folder, the
// credential of a tenant that is alone, then the disk and the archive. Open creates nothing before it gets the first
// token, and does not call the Defender API.
func Open(ctx context.Context, o Options, logger *slog.Logger) (_ *Runtime, err error) {
	r := &Runtime{options: o, logger: logger, share: pipeline.NewShare()}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	r.options.Data, err = filepath.Abs(o.Data) // the embedded S3 server changes the working directory
	if err != nil {
		return nil, fmt.Errorf("resolve the data folder: %w", err)
	}
	first, err := r.prepare(ctx)
	if err != nil {
		return nil, err
	}
	err = r.openDB(ctx)
	if err != nil {
		return nil, err
	}
	if o.Simulate > 0 {
		err = r.simulate(ctx)
		if err != nil {
			return nil, err
		}
	}
	r.roster, err = roster.New(r.base, r.registry)
	if err != nil {
		return nil, err
	}
	r.places, err = openPlaces(ctx, r.options, logger)
	if err != nil {
		return nil, err
	}
	r.onClose(r.places.close)
	r.signer, err = custody.OpenLocal(r.options.Data)
	if err != nil {
		return nil, err
	}
	return r, r.openAlone(ctx, first)
}

// openAlone opens the tenant of the environment if it is alone: then a fault of it is a fault of the run.
func (r *Runtime) openAlone(ctx context.Context, first *opened) error {
	all, err := r.roster.All(ctx)
	if r.base.OwnID() == "" || len(all) != 1 || err != nil {
		return nil // the crew says what is wrong with the registry
	}
	first, err = r.openMember(ctx, all[0], 1, first)
	if err == nil {
		r.first.Store(first)
	}
	return err
}

// prepare parses the settings and checks the data folder. If the tenant of the environment is alone, it gets a token
// for it, and only then creates the folder. A simulation gets its settings later and does not need a token: its
// credential cannot be wrong.
func (r *Runtime) prepare(ctx context.Context) (first *opened, err error) {
	own, err := r.settings()
	if err != nil {
		return nil, err
	}
	origin := datafolder.Origin{Simulated: r.simulated}
	err = datafolder.Check(ctx, r.options.Data, origin, r.logger)
	if err != nil {
		return nil, err
	}
	if r.options.Simulate == 0 {
		alone, err := r.lookUp(ctx)
		if err != nil {
			return nil, err
		}
		if alone {
			first, err = r.firstToken(ctx, own)
			if err != nil {
				return nil, err
			}
		}
	}
	return first, datafolder.Claim(ctx, r.options.Data, origin, r.logger)
}

// settings reads the environment, and says whether the run is a simulation. Without a tenant in the environment, the
// settings are zero, and the folder's origin says it.
func (r *Runtime) settings() (own settings.Settings, err error) {
	r.simulated = r.options.Simulate > 0
	if r.simulated {
		return own, nil
	}
	environ := settings.Map(r.options.Environ)
	if r.options.Credential != "" {
		environ[settings.VarCredential] = string(r.options.Credential)
	}
	parsed := settings.CLIBase(environ)
	delete(environ, settings.VarArchiveBucket) // --bucket says it, unless an entry does
	r.base = settings.CLIBase(environ)
	if r.base.OwnID() != "" {
		own, err = parsed.Own()
		r.simulated = simulation.IsTenant(own.TenantID)
		return own, err
	}
	origin, err := datafolder.Recorded(r.options.Data)
	if errors.Is(err, fs.ErrNotExist) {
		return own, nil
	}
	if err == nil {
		r.simulated = origin.Simulated
	}
	return own, err
}

// lookUp reads the registry, if there is one. It reports whether the tenant of the environment is alone; without any
// tenant it returns a *[NoTenantError].
func (r *Runtime) lookUp(ctx context.Context) (alone bool, err error) {
	_, err = os.Stat(filepath.Join(r.options.Data, datafolder.Database))
	if err == nil {
		err = r.openDB(ctx)
		if err != nil {
			return false, err
		}
		entries, listErr := r.registry.List(ctx)
		if len(entries) > 0 || listErr != nil {
			return false, nil // the crew says what is wrong with it
		}
	}
	if r.base.OwnID() == "" {
		_, err := r.base.Own()
		return false, &NoTenantError{err}
	}
	return true, nil
}

// openDB opens the database, unless it is open.
func (r *Runtime) openDB(ctx context.Context) (err error) {
	if r.db != nil {
		return nil
	}
	r.db, err = embedded.OpenDB(ctx, filepath.Join(r.options.Data, datafolder.Database))
	if err != nil {
		return err
	}
	r.onClose(r.db.Close)
	r.ledger, r.counter, r.registry = embedded.NewLedger(r.db), embedded.NewCounter(r.db), embedded.NewRegistry(r.db)
	return nil
}

// firstToken gets a token for the tenant of the environment. If Entra ID cannot be reached, it retries.
func (r *Runtime) firstToken(ctx context.Context, own settings.Settings) (*opened, error) {
	app, err := r.newApp(ctx, own)
	if err != nil {
		return nil, err
	}
	patience := pipeline.Patience{
		UntilIdle: r.options.UntilIdle, Mendable: mendable, Now: time.Now, Logger: r.logger, Level: slog.LevelWarn,
	}
	return &opened{app: app}, patience.Await(ctx, func(ctx context.Context) error {
		err := app.SignIn(ctx)
		if err != nil && ctx.Err() == nil && r.db != nil { // never creates one
			r.noteFailure(ctx, own.TenantID, err)
		}
		return err
	})
}

// noteFailure stores that the tenant cannot be listed: whoever asks for the status later shall see why.
func (r *Runtime) noteFailure(ctx context.Context, tenantID string, failure error) {
	err := poll.NoteFailure(ctx, r.ledger, tenantID, time.Now(), failure)
	if err != nil {
		r.logger.WarnContext(ctx, "could not store how well the sweeps work", slog.String("error", err.Error()))
	}
}

// simulate starts the simulated tenants and applies their settings.
func (r *Runtime) simulate(ctx context.Context) (err error) {
	r.site, err = simulation.Resume(ctx, r.options.Data, r.options.Credential, simulation.Plan{
		Seed: r.options.Seed, Actions: r.options.Simulate, Tenants: r.options.Tenants, Sizes: r.options.Sizes,
	}, r.ledger)
	if err != nil {
		return fmt.Errorf("start the simulator: %w", err)
	}
	r.onClose(r.site.Close)
	r.base = settings.CLIBase(settings.Map(append(r.site.Environ(),
		"DEFENDER_CA_PEM="+string(r.site.RootPEM()),
		"SWEEP_INTERVAL=5s"))) // the shortest allowed: a person is watching
	return r.site.Register(ctx, r.registry)
}
