package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"time"

	"packhorse/cmd/packhorse/console"
	"packhorse/cmd/packhorse/embedded"
	"packhorse/cmd/packhorse/process"
	"packhorse/internal/archive"
	"packhorse/internal/custody"
	"packhorse/internal/entra"
	"packhorse/internal/fetch"
	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
	"packhorse/internal/mde"
	"packhorse/internal/ratelimit"
	"packhorse/internal/settings"
)

const (
	databaseFile = "packhorse.db"
	s3Folder     = "s3"

	// lease is how long the package of a killed process lies idle. A live one renews it.
	lease = 30 * time.Second

	// What Defender allows of list and get calls. The sweep needs a tenth of it.
	listPerMinute = 100
	listPerHour   = 1500

	// connectTimeout bounds how long a host may take to accept a connection and shake hands.
	connectTimeout = 15 * time.Second
)

// station is everything one run has open.
type station struct {
	options    runOptions
	settings   settings.Settings
	simulated  bool        // the tenant is a simulator's, here or elsewhere
	simulation *simulation // nil: there is none in this process
	db         *embedded.DB
	ledger     *embedded.Ledger
	counter    *embedded.Counter
	archive    *archive.Archive
	space      fetch.Space
	bucket     string // of the archive
	signer     *custody.Local
	custody    *custody.Writer
	transport  *http.Transport // trusts who the settings say
	tokens     *entra.TokenSource
	defender   *mde.Client
	budget     ratelimit.Budget

	closers []func() error // in the order things were opened
}

// openStation opens everything a run needs, in an order in which what is most likely wrong is found
// out first: settings, whether the data folder may be used, the credential, then the disk and the
// archive. Nothing is made before the first token, and nothing is asked of Defender yet.
func openStation(ctx context.Context, o runOptions, environ []string, logger *slog.Logger) (
	_ *station, err error,
) {
	s := &station{options: o}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	// The embedded S3 server changes the working directory: no path may depend on it.
	s.options.data, err = filepath.Abs(o.data)
	if err != nil {
		return nil, fmt.Errorf("find the data folder: %w", err)
	}
	err = s.prepare(ctx, environ, logger)
	if err != nil {
		return nil, err
	}
	s.db, err = embedded.OpenDB(ctx, filepath.Join(s.options.data, databaseFile))
	if err != nil {
		return nil, err
	}
	s.onClose(s.db.Close)
	s.ledger, s.counter = embedded.NewLedger(s.db), embedded.NewCounter(s.db)
	if o.simulate > 0 {
		err = s.simulate(ctx)
		if err != nil {
			return nil, err
		}
	}
	err = s.openArchive(ctx, logger)
	if err != nil {
		return nil, err
	}
	err = s.openCustody(ctx)
	if err != nil {
		return nil, err
	}
	return s, s.openDefender(logger)
}

// prepare takes the settings, makes sure of the data folder and of a token, and only then makes the
// folder. A simulation has no credential that could be refused, and its settings come later.
func (s *station) prepare(ctx context.Context, environ []string, logger *slog.Logger) error {
	var err error
	s.simulated = s.options.simulate > 0
	if !s.simulated {
		s.settings, err = settings.ParseCLI(settings.Map(environ))
		if err != nil {
			return err
		}
		s.simulated = isSimulators(s.settings.TenantID)
	}
	err = checkFolder(ctx, s.options.data, origin{s.simulated}, logger)
	if err != nil {
		return err
	}
	if s.options.simulate == 0 {
		err = s.firstToken(ctx, logger)
		if err != nil {
			return err
		}
	}
	return claimFolder(ctx, s.options.data, origin{s.simulated}, logger)
}

// firstToken gets a token, and waits for it while Entra ID cannot be reached.
func (s *station) firstToken(ctx context.Context, logger *slog.Logger) error {
	err := s.openTokens()
	if err != nil {
		return err
	}
	patience := process.Patience{
		UntilIdle: s.options.untilIdle, Mendable: mendable, Now: time.Now, Logger: logger,
	}
	return patience.Await(ctx, func(ctx context.Context) error {
		_, err := s.tokens.Token(ctx)
		return err
	})
}

func (s *station) onClose(f func() error) { s.closers = append(s.closers, f) }

// close closes what is open, the last first.
func (s *station) close() error {
	var failures []error
	for len(s.closers) > 0 {
		last := len(s.closers) - 1
		failures = append(failures, s.closers[last]())
		s.closers = s.closers[:last]
	}
	return errors.Join(failures...)
}

// simulate starts the simulated tenant and takes its settings.
func (s *station) simulate(ctx context.Context) (err error) {
	s.simulation, err = startSimulation(ctx, s.options, s.ledger)
	if err != nil {
		return fmt.Errorf("start the simulator: %w", err)
	}
	s.onClose(s.simulation.server.Close)
	s.settings, err = settings.ParseCLI(s.simulation.environment())
	if err != nil {
		return err
	}
	return s.openTokens()
}

// openCustody opens the signing key, and publishes it in the archive: what is not written there can be
// checked by nobody later.
func (s *station) openCustody(ctx context.Context) error {
	var err error
	s.signer, err = custody.OpenLocal(s.options.data)
	if err != nil {
		return err
	}
	s.custody = custody.NewWriter(s.signer, s.bucket, s.settings.Lock(), s.provenance, time.Now)
	return s.custody.Publish(ctx, s.archive.StoreManifest)
}

// provenance is what a manifest says of this program and who runs it.
func (s *station) provenance(context.Context) (manifest.Provenance, error) {
	host, err := os.Hostname()
	if err != nil {
		return manifest.Provenance{}, fmt.Errorf("find this machine's name: %w", err)
	}
	name := strconv.Itoa(os.Getuid()) // where it has no name, as in some containers
	if who, err := user.Current(); err == nil {
		name = who.Username
	}
	return manifest.Provenance{
		Simulated: s.simulated, Version: version, Commit: commit, Principal: name + "@" + host,
	}, nil
}

// openTokens builds the way to tokens.
func (s *station) openTokens() error {
	roots, err := s.settings.RootCAs()
	if err != nil {
		return err
	}
	s.transport = http.DefaultTransport.(*http.Transport).Clone()
	s.transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	s.transport.TLSHandshakeTimeout = connectTimeout
	s.tokens = entra.NewTokenSource(entra.Application{
		TenantID:     s.settings.TenantID,
		ClientID:     s.settings.ClientID,
		AuthorityURL: s.settings.AuthorityURL.String(),
		Scope:        s.settings.Scope,
	}, s.secret, s.transport, time.Now)
	return nil
}

// openDefender builds the client: the token outside, the count inside, so that waiting for a token
// is no part of a call's lease.
func (s *station) openDefender(logger *slog.Logger) error {
	name := s.settings.TenantID + "#" + s.settings.ClientID + "#"
	s.budget = ratelimit.Budget{
		Name:      name + "getPackageUri",
		PerMinute: s.settings.PackageURIPerMinute,
		PerHour:   s.settings.PackageURIPerHour,
	}
	counted := func(b ratelimit.Budget) http.RoundTripper {
		return entra.NewTransport(ratelimit.NewTransport(ratelimit.FreshConnections(s.transport), s.counter,
			b, time.Now, rand.Text, logger), s.tokens, s.settings.APIURL)
	}
	var err error
	s.defender, err = mde.New(s.settings.APIURL, s.settings.TenantID,
		counted(ratelimit.Budget{
			Name: name + "machineactions", PerMinute: listPerMinute, PerHour: listPerHour,
		}),
		counted(s.budget), s.transport, s.settings.LinkHosts, time.Now)
	return err
}

// secret is the client secret of the environment: there is no other.
func (s *station) secret(context.Context, string) (string, error) {
	return s.settings.ClientSecret.Reveal(), nil
}

// process wires the use cases to what is open.
func (s *station) process(reporter process.Reporter, logger *slog.Logger) *process.Process {
	return process.New(s.defender, s.ledger, s.archive, s.space, s.custody,
		ratelimit.NewGauge(s.counter, s.budget),
		process.SweepSettings{
			TenantID:  s.settings.TenantID,
			Simulated: s.simulated,
			Cases:     s.settings.CasePattern,
			Lookback:  s.settings.Lookback,
			Every:     s.settings.SweepInterval,
			Mendable:  mendable,
		},
		process.FetchSettings{
			Prefix:   s.settings.ArchivePrefix,
			Lease:    lease,
			NewOwner: ownerName,
		},
		reporter, time.Now, logger)
}

// ownerName is unlike any other, and tells a person which process it was.
func ownerName() string { return fmt.Sprintf("%d-%s", os.Getpid(), rand.Text()) }

// summary gathers what the run has to show. Records that make no sense have been told of, and are
// left out.
func (s *station) summary(ctx context.Context, startedAt time.Time) (console.Summary, error) {
	records, err := s.ledger.Records(ctx, s.settings.TenantID)
	if err != nil && !errors.Is(err, investigation.ErrBadRecord) {
		return console.Summary{}, err
	}
	head, err := s.ledger.Head(ctx, s.settings.TenantID)
	if err != nil {
		return console.Summary{}, err
	}
	key, err := s.signer.Current(ctx)
	if err != nil {
		return console.Summary{}, err
	}
	summary := console.Summary{
		Records: records, StartedAt: startedAt, EndedAt: time.Now(), Locate: s.options.locate,
		Simulated: s.simulated,
		Evidence: console.Evidence{
			Sequence: head.Sequence, Digest: head.Digest, KeyID: key.ID, Check: s.options.verification(),
		},
	}
	if s.simulation != nil {
		summary.Judge, err = s.simulation.judge(records, s.options)
	}
	return summary, err
}
