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
	"packhorse/internal/verify"
)

// Ledger is an open ledger. It MUST be closed.
type Ledger struct {
	verify.TenantsLedger
	queries

	Name  string       // display name
	close func() error // nil if there is nothing to close
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
	if table != "" {
		return openTable(ctx, table)
	}
	path := filepath.Join(data, datafolder.Database)
	_, err := os.Stat(path)
	if err != nil {
		return nil, &NoLedgerError{data}
	}
	db, err := embedded.OpenDB(ctx, path)
	if err != nil {
		return nil, err
	}
	ledger := embedded.NewLedger(db)
	return &Ledger{TenantsLedger: ledger, queries: ledger, Name: path, close: db.Close}, nil
}

func openTable(ctx context.Context, table string) (*Ledger, error) {
	aws, err := awsconfig.Load(ctx, "the table")
	if err != nil {
		return nil, err
	}
	records := source.Ledger{TenantsLedger: ledger.New(dynamodb.NewFromConfig(aws), table)}
	return &Ledger{TenantsLedger: records, queries: scanned{records}, Name: "DynamoDB table " + table}, nil
}

// Close closes the ledger.
func (l *Ledger) Close() error {
	if l.close == nil {
		return nil
	}
	return l.close()
}
