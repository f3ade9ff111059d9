package dynamocounter_test

import (
	"crypto/rand"
	"os"
	"testing"
	"time"

	"packhorse/internal/ledger/ledgertables"
	"packhorse/internal/localcloud/dynamotest"
	"packhorse/internal/ratelimit/dynamocounter"
)

func TestMain(m *testing.M) { os.Exit(dynamotest.Main(m)) }

// newTable creates an empty budget table for one test.
func newTable(t *testing.T) string {
	t.Helper()
	return dynamotest.Table(t, ledgertables.Budget("budget-"+rand.Text()))
}

func newCounter(table string, w *dynamotest.Wire) *dynamocounter.Counter {
	return dynamocounter.New(dynamotest.Client(w), table, time.Now)
}
