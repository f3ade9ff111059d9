package evidence

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"packhorse/cmd/packhorse/awsconfig"
	"packhorse/cmd/packhorse/datafolder"
	"packhorse/cmd/packhorse/embedded"
	"packhorse/cmd/packhorse/source"
	"packhorse/internal/ledger"
	"packhorse/internal/registry"
	"packhorse/internal/verify"
)

// Ledger is an open ledger. It MUST be closed.
type Ledger struct {
	verify.TenantsLedger
	queries

	Name     string // display name
	registry directory
	close    func() error // nil if there is nothing to close
}

// NoLedgerError reports that a data folder does not contain a ledger.
type NoLedgerError struct{ Data string }

func (e *NoLedgerError) Error() string { return fmt.Sprintf("no ledger found in %s", e.Data) }

// Advice says how to name a ledger.
func (e *NoLedgerError) Advice() string {
	return "pass the data directory with --data (simulations use " + datafolder.DefaultSimulation +
		"), or a DynamoDB table with --ledger and --tenant"
}

// OpenLedger opens the ledger in a DynamoDB table of the user's AWS account or, if table is empty, the one in
// the data folder. It returns a [NoLedgerError] if the folder does not contain one.
func OpenLedger(ctx context.Context, table, data string) (*Ledger, error) {
	return Options{Table: table, Data: data}.OpenLedger(ctx)
}

// OpenLedger is like [OpenLedger]. If a stack was named, a question about all tenants is one about those that the stack
// serves: a table does not list its tenants but by reading all of it.
func (o Options) OpenLedger(ctx context.Context) (*Ledger, error) {
	if o.Table != "" {
		return o.openTable(ctx)
	}
	path := filepath.Join(o.Data, datafolder.Database)
	_, err := os.Stat(path)
	if err != nil {
		return nil, &NoLedgerError{o.Data}
	}
	db, err := embedded.OpenDB(ctx, path)
	if err != nil {
		return nil, err
	}
	ledger := embedded.NewLedger(db)
	return &Ledger{
		TenantsLedger: ledger, queries: ledger, Name: path, registry: embedded.NewRegistry(db), close: db.Close,
	}, nil
}

func (o Options) openTable(ctx context.Context) (*Ledger, error) {
	aws, err := awsconfig.Load(ctx, "the table")
	if err != nil {
		return nil, err
	}
	return o.ofTable(dynamodb.NewFromConfig(aws)), nil
}

func (o Options) ofTable(db *dynamodb.Client) *Ledger {
	table := ledger.New(db, o.Table)
	records := source.Ledger{TenantsLedger: table}
	l := &Ledger{TenantsLedger: records, Name: "DynamoDB table " + o.Table}
	if o.Registry == "" {
		l.queries = indexed{scanned{records}, table}
		return l
	}
	l.registry = registry.New(db, o.Registry)
	l.queries = indexed{scanned{listed{records, o.served(l.registry)}}, table}
	return l
}

// Close closes the ledger.
func (l *Ledger) Close() error {
	if l.close == nil {
		return nil
	}
	return l.close()
}
