package ledger_test

import (
	"slices"
	"testing"

	"packhorse/internal/localcloud/dynamotest"
)

// TestTenants: only tenants whose chain has begun.
func TestTenants(t *testing.T) {
	table := newTable(t)
	l := newLedger(table, &dynamotest.Wire{})
	a := failed(t, table, 1)
	got, err := l.Tenants(t.Context())
	if err != nil || len(got) != 0 {
		t.Errorf("before a seal: %v, %v", got, err)
	}
	if _, err := seal(t, l, a); err != nil {
		t.Fatal(err)
	}
	got, err = l.Tenants(t.Context())
	if err != nil || !slices.Equal(got, []string{tenant}) {
		t.Errorf("after a seal: %v, %v", got, err)
	}
}
