// Package enroll is what packhorse tenant works with: the registry of tenants of a data folder, a stack or a table,
// with what belongs to it - the ledger, the place of secrets, and the settings that tenants inherit.
package enroll

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"packhorse/cmd/packhorse/awsconfig"
	"packhorse/cmd/packhorse/cloud"
	"packhorse/cmd/packhorse/stack"
	"packhorse/cmd/packhorse/suggest"
	"packhorse/internal/investigation"
	"packhorse/internal/ledger"
	"packhorse/internal/registry"
	"packhorse/internal/settings"
	"packhorse/internal/tenant"
)

// Registry is a registry of tenants.
type Registry interface {
	// List returns every valid entry, in order of the ids, and an error that names the others and wraps
	// tenant.ErrInvalid.
	List(ctx context.Context) ([]tenant.Tenant, error)
	// Get returns the entry of a tenant, or the zero Tenant if it is not registered.
	Get(ctx context.Context, id string) (tenant.Tenant, error)
	// Put stores an entry over the version that it carries, and returns it with its new version. The error wraps
	// tenant.ErrConflict if that version is not the current one.
	Put(ctx context.Context, t tenant.Tenant) (tenant.Tenant, error)
	// Delete removes an entry that still has the version it carries, likewise.
	Delete(ctx context.Context, t tenant.Tenant) error
}

// Ledger is what is asked of a ledger.
type Ledger interface {
	Health(ctx context.Context, tenantID string) (tenant.Health, error)
	// Records returns all records of a tenant. Malformed ones are named in the error, which then wraps
	// investigation.ErrBadRecord.
	Records(ctx context.Context, tenantID string) ([]investigation.Record, error)
}

// Options say which registry is meant.
type Options struct {
	Data    string            // a data folder
	Stack   string            // a deployed stack instead
	Table   string            // a registry in DynamoDB instead, whose stack is not known
	Ledger  string            // with Table, the ledger that belongs to it; may be empty
	Environ map[string]string // of the process: what tenants of a data folder inherit
}

// Place is an open registry. It MUST be closed.
type Place struct {
	Name     string // for people
	Registry Registry
	Ledger   Ledger        // nil if it is not known
	Base     settings.Base // what tenants inherit
	OwnID    string        // the tenant that needs no entry; empty without one

	claim func(context.Context) error // makes the data folder ready for a write; nil if there is nothing to make

	data  string // the data folder; empty on AWS
	table string
	aws   func(context.Context) (aws.Config, error)
	close func() error // nil if there is nothing to close
}

// Open opens the registry.
func Open(ctx context.Context, o Options) (*Place, error) {
	switch {
	case o.Stack != "":
		return openStack(ctx, o)
	case o.Table != "":
		return openTable(ctx, o)
	default:
		return openFolder(ctx, o)
	}
}

// Close closes the registry.
func (p *Place) Close() error {
	if p.close == nil {
		return nil
	}
	return p.close()
}

// OnAWS reports whether the functions on AWS serve the tenants.
func (p *Place) OnAWS() bool { return p.data == "" }

// NoRegistryError reports a place without a registry.
type NoRegistryError struct{ Where, How string }

func (e *NoRegistryError) Error() string { return e.Where + " has no registry of tenants" }

// Advice says how to make one.
func (e *NoRegistryError) Advice() string { return e.How }

func openStack(ctx context.Context, o Options) (*Place, error) {
	s, err := stack.Open(ctx, o.Stack)
	if err != nil {
		return nil, err
	}
	table := s.Outputs[stack.OutputTenants]
	if table == "" {
		return nil, &NoRegistryError{
			"the stack " + o.Stack, "deploy it with ManyTenants=true: make deploy STACK=" + o.Stack + " PARAMETERS=ManyTenants=true",
		}
	}
	p := onAWS(s.AWS, table, s.Outputs[stack.OutputLedger])
	p.Name = "the stack " + o.Stack
	p.Base = settings.StackBase(cloud.Open(ctx, s, time.Now).Variables())
	p.OwnID = p.Base.OwnID()
	return p, nil
}

func openTable(ctx context.Context, o Options) (*Place, error) {
	cfg, err := awsconfig.Load(ctx, "the table")
	if err != nil {
		return nil, err
	}
	p := onAWS(cfg, o.Table, o.Ledger)
	p.Name, p.Base = "the table "+o.Table, settings.StackBase(nil)
	return p, nil
}

func onAWS(cfg aws.Config, table, ledgerTable string) *Place {
	db := dynamodb.NewFromConfig(cfg)
	p := &Place{
		Registry: registry.New(db, table), table: table,
		aws: func(context.Context) (aws.Config, error) { return cfg, nil },
	}
	if ledgerTable != "" {
		p.Ledger = ledger.New(db, ledgerTable)
	}
	return p
}

// secrets returns a client of Secrets Manager.
func (p *Place) secrets(ctx context.Context) (*secretsmanager.Client, error) {
	cfg, err := p.aws(ctx)
	if err != nil {
		return nil, err
	}
	return secretsmanager.NewFromConfig(cfg), nil
}

// NotFoundError reports a name or an id that no tenant has.
type NotFoundError struct {
	Text, Where string
	Near        string // the registered name that is most like it; may be empty
}

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("no tenant %.100q is registered in %s", e.Text, e.Where)
}

// Advice says how to see which tenants there are.
func (e *NotFoundError) Advice() string {
	advice := "packhorse tenant list shows the names and ids"
	if e.Near != "" {
		advice = "did you mean " + e.Near + "? " + advice
	}
	return advice
}

// AmbiguousError reports a name that several tenants have.
type AmbiguousError struct {
	Text string
	IDs  []string
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("%d tenants are called %.100q", len(e.IDs), e.Text)
}

// Advice says how to name the one that is meant.
func (e *AmbiguousError) Advice() string { return fmt.Sprintf("write one of their ids: %q", e.IDs) }

// Find returns the tenant with an id or a name. It reads the current entry.
func (p *Place) Find(ctx context.Context, text string) (tenant.Tenant, error) {
	id, err := p.ID(ctx, text)
	if err != nil {
		return tenant.Tenant{}, err
	}
	t, err := p.Registry.Get(ctx, id)
	if err == nil && t.ID == "" {
		err = &NotFoundError{Text: text, Where: p.Name}
	}
	return t, err
}

// ID returns the id that an id or a registered name stands for. An id need not be registered. A malformed entry is in
// nobody's way.
func (p *Place) ID(ctx context.Context, text string) (string, error) {
	if id, err := investigation.CanonicalID(text); err == nil {
		return id, nil
	}
	all, err := p.Registry.List(ctx)
	if err != nil && !errors.Is(err, tenant.ErrInvalid) {
		return "", err
	}
	ids := named(all, text)
	switch len(ids) {
	case 0:
		var names []string
		for _, t := range all {
			names = append(names, t.Name)
		}
		return "", &NotFoundError{text, p.Name, suggest.Word(text, names)}
	case 1:
		return ids[0], nil
	default:
		return "", &AmbiguousError{text, ids}
	}
}

// named returns the ids of the tenants with this name, whatever the case of its letters.
func named(all []tenant.Tenant, name string) (ids []string) {
	for _, t := range all {
		if investigation.Fold(t.Name) == investigation.Fold(name) {
			ids = append(ids, t.ID)
		}
	}
	return ids
}
