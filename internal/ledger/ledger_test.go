package ledger_test

import (
	"testing"

	"packhorse/internal/localcloud/dynamotest"

	"packhorse/internal/ledger/ledgertest"
)

func TestLedger(t *testing.T) {
	table := newTable(t)
	ledgertest.Run(t, func(*testing.T) ledgertest.Ledger { return newLedger(table, &dynamotest.Wire{}) })
}
