package enroll

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/aws/aws-sdk-go-v2/aws"

	"packhorse/cmd/packhorse/awsconfig"
	"packhorse/cmd/packhorse/datafolder"
	"packhorse/cmd/packhorse/embedded"
	"packhorse/cmd/packhorse/simulation"
	"packhorse/internal/settings"
	"packhorse/internal/tenant"
)

func openFolder(ctx context.Context, o Options) (*Place, error) {
	p, err := ofFolder(o)
	if err != nil {
		return nil, err
	}
	if !p.exists() {
		return nil, &NoRegistryError{
			"the data directory " + o.Data,
			"packhorse tenant add makes one; or name another with --data, or a stack with --stack",
		}
	}
	return p, p.openFile(ctx)
}

// OpenToAdd opens the registry to which a tenant will be added. If it is in a data folder that does not exist,
// [Place.Add] makes the folder, once nothing is wrong with the tenant. The error is a *datafolder.Error if the folder
// cannot take the tenant.
func OpenToAdd(ctx context.Context, o Options, tenantID string, logger *slog.Logger) (*Place, error) {
	if o.Stack != "" || o.Table != "" {
		return Open(ctx, o)
	}
	p, err := ofFolder(o)
	if err != nil {
		return nil, err
	}
	origin := datafolder.Origin{Simulated: simulation.IsTenant(tenantID)}
	err = datafolder.Check(ctx, p.data, origin, logger)
	if err != nil {
		return nil, err
	}
	if p.exists() {
		err = p.openFile(ctx)
	} else {
		p.Registry = nothing{}
	}
	opened := p.close != nil
	p.claim = func(ctx context.Context) error {
		err := datafolder.Claim(ctx, p.data, origin, logger)
		if err == nil && !opened {
			err = p.openFile(ctx)
		}
		return err
	}
	return p, err
}

// ofFolder returns the place in a data folder, without its file.
func ofFolder(o Options) (*Place, error) {
	dir, err := filepath.Abs(o.Data) // entries contain the paths of secrets
	if err != nil {
		return nil, fmt.Errorf("resolve the data folder: %w", err)
	}
	base := settings.CLIBase(o.Environ)
	return &Place{
		Name: "the data directory " + o.Data, Base: base, OwnID: base.OwnID(), data: dir,
		aws: func(ctx context.Context) (aws.Config, error) { return awsconfig.Load(ctx, "the credential") },
	}, nil
}

func (p *Place) file() string { return filepath.Join(p.data, datafolder.Database) }

func (p *Place) exists() bool {
	_, err := os.Stat(p.file())
	return err == nil
}

func (p *Place) openFile(ctx context.Context) error {
	db, err := embedded.OpenDB(ctx, p.file())
	if err != nil {
		return err
	}
	p.Registry, p.Ledger, p.close = embedded.NewRegistry(db), embedded.NewLedger(db), db.Close
	return nil
}

// nothing is the registry of a folder that does not exist yet. It is only read.
type nothing struct{ Registry }

// List implements [Registry].
func (nothing) List(context.Context) ([]tenant.Tenant, error) { return nil, nil }

// Get implements [Registry].
func (nothing) Get(context.Context, string) (tenant.Tenant, error) { return tenant.Tenant{}, nil }
