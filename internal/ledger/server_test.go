package ledger_test

import (
	"crypto/rand"
	"os"
	"testing"

	"packhorse/internal/ledger"
	"packhorse/internal/ledger/ledgertables"
	"packhorse/internal/localcloud/dynamotest"
)

func TestMain(m *testing.M) { os.Exit(dynamotest.Main(m)) }

// newTable creates an empty ledger table for one test.
func newTable(t *testing.T) string {
	t.Helper()
	return dynamotest.Table(t, ledgertables.Ledger("ledger-"+rand.Text()))
}

func newLedger(table string, w *dynamotest.Wire) *ledger.Ledger {
	return ledger.New(dynamotest.Client(w), table)
}
