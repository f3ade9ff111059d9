package ledger_test

import (
	"testing"

	"packhorse/internal/localcloud/dynamotest"

	"packhorse/internal/ledger/ledgertest"
)

func TestLedger(t *testing.T) {
	table := newTable(t)
	ledgertest.Run(t, func(*testing.T) (one, other ledgertest.Ledger) {
		return newLedger(table, &dynamotest.Wire{}), newLedger(table, &dynamotest.Wire{})
	})
}
