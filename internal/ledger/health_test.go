package ledger_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/localcloud/dynamotest"
	health "packhorse/internal/tenant"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// TestHealthCosts: one write unit, with the longest message, and one read unit.
func TestHealthCosts(t *testing.T) {
	m := newMeter(t)
	h := health.Health{}.Succeeded(time.Now()).Failed(time.Now(), strings.Repeat("x", 503))
	if err := m.ledger.SetHealth(t.Context(), tenant, h); err != nil {
		t.Fatal(err)
	}
	it := m.item("health#" + tenant)
	if m.wire.Count("UpdateItem") != 1 || itemUnits(it, nil) != 1 || indexUnits(it, nil) != 0 {
		t.Errorf("%d writes of an item of %d bytes", m.wire.Count("UpdateItem"), size(it))
	}
	m.wire.Reset()
	if _, err := m.ledger.Health(t.Context(), tenant); err != nil || m.wire.Count("GetItem") != 1 {
		t.Errorf("%d reads, %v", m.wire.Count("GetItem"), err)
	}
}

// TestHealthIsNoRecord: readers of earlier releases list the keys that begin with the tenant's id.
func TestHealthIsNoRecord(t *testing.T) {
	table := newTable(t)
	l := newLedger(table, &dynamotest.Wire{})
	if err := l.SetHealth(t.Context(), tenant, health.Health{}.Succeeded(time.Now())); err != nil {
		t.Fatal(err)
	}
	if ids, err := l.Tenants(t.Context()); err != nil || len(ids) > 0 {
		t.Errorf("it is among the tenants with a chain: %v, %v", ids, err)
	}
	out, err := dynamotest.Client(dynamotest.Direct).Scan(t.Context(), &dynamodb.ScanInput{
		TableName: aws.String(table), FilterExpression: aws.String("begins_with(pk, :tenant)"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":tenant": &types.AttributeValueMemberS{Value: tenant}},
	})
	if err != nil || out.Count != 0 || out.ScannedCount != 1 {
		t.Errorf("got %+v, %v", out, err)
	}
}

// TestMalformedHealth: the error says which item, and the next write mends it.
func TestMalformedHealth(t *testing.T) {
	table := newTable(t)
	l := newLedger(table, &dynamotest.Wire{})
	spoil := spoilIn(table)
	spoil(t, investigation.ID{TenantID: "health", ActionID: tenant}, "sweptAt", 7)
	_, err := l.Health(t.Context(), tenant)
	if !errors.Is(err, investigation.ErrBadRecord) || !strings.Contains(err.Error(), "health#"+tenant) {
		t.Errorf("got %v", err)
	}
	want := health.Health{}.Succeeded(time.Now())
	if err := l.SetHealth(t.Context(), tenant, want); err != nil {
		t.Fatal(err)
	}
	if got, err := l.Health(t.Context(), tenant); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

// TestManyTenants: the healths of 250 tenants take three reads, and who has work takes one, however many records are
// done or wait for their hosts. Malformed healths are named beside the others.
func TestManyTenants(t *testing.T) {
	m := newMeter(t)
	var ids []string
	for n := range 250 {
		ids = append(ids, fmt.Sprintf("00000000-0000-4000-8000-%012d", n))
	}
	now := time.Now()
	for _, id := range ids[:3] {
		if err := m.ledger.SetHealth(t.Context(), id, health.Health{}.Succeeded(now)); err != nil {
			t.Fatal(err)
		}
	}
	for n, status := range []investigation.Status{investigation.StatusSucceeded, investigation.StatusPending} {
		a := investigation.Action{
			ID: investigation.ID{TenantID: ids[n], ActionID: strings.Repeat("a", 40)}, MachineID: strings.Repeat("b", 40),
			Status: status, CreatedAt: now, LastUpdatedAt: now,
		}
		if _, err := m.ledger.Change(t.Context(), a.ID, investigation.Observe(a, now)); err != nil {
			t.Fatal(err)
		}
	}
	m.wire.Reset()
	got, err := m.ledger.Healths(t.Context(), ids)
	if err != nil || len(got) != 3 || got[ids[2]] != (health.Health{}).Succeeded(now) || m.wire.Count("BatchGetItem") != 3 {
		t.Errorf("got %d healths, %v", len(got), err)
	}
	busy, err := m.ledger.Busy(t.Context())
	if err != nil || len(busy) != 1 || !busy[ids[0]] || m.wire.Count("Scan") != 1 {
		t.Errorf("busy: %v, %v", busy, err)
	}
	if calls := m.wire.Calls(); len(calls) != 0 {
		t.Errorf("it also made the calls %v", calls)
	}
	spoilIn(m.table)(t, investigation.ID{TenantID: "health", ActionID: ids[1]}, "sweptAt", 7)
	got, err = m.ledger.Healths(t.Context(), ids)
	if !errors.Is(err, investigation.ErrBadRecord) || !strings.Contains(err.Error(), ids[1]) || len(got) != 2 {
		t.Errorf("got %d healths, %v", len(got), err)
	}
}
