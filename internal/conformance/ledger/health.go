package ledger

import (
	"context"
	"strings"
	"testing"
	"time"

	"packhorse/internal/tenant"
)

// testHealth: each tenant has its own, the last one written counts, every field comes back, and it is not among
// the records.
func testHealth(t *testing.T, b *bench) {
	holds := func(tenantID string, want tenant.Health) {
		t.Helper()
		for _, ledger := range []Ledger{b.ledger, b.other} {
			if got, err := ledger.Health(b.ctx(), tenantID); err != nil || got != want {
				t.Fatalf("got\n%+v, %v, want\n%+v", got, err, want)
			}
		}
	}
	set := func(tenantID string, h tenant.Health) {
		t.Helper()
		if err := b.ledger.SetHealth(b.ctx(), tenantID, h); err != nil {
			t.Fatal(err)
		}
		holds(tenantID, h)
	}
	theirs := newGUID()
	holds(b.tenant, tenant.Health{})
	well := tenant.Health{}.Succeeded(t0)
	ill := well.Failed(t0.Add(time.Minute), "Entra ID refused: \"no consent\" "+strings.Repeat("é", 250))
	never := tenant.Health{}.Failed(t0, "cannot connect")
	set(b.tenant, well)
	set(b.tenant, ill)
	set(theirs, never)
	holds(b.tenant, ill)
	set(b.tenant, ill.Failed(t0.Add(time.Hour), "again"))
	set(b.tenant, ill.Succeeded(t0.Add(2*time.Hour)))
	set(b.tenant, well) // even an older one
	holds(theirs, never)

	b.ready()
	for tenantID, want := range map[string]int{b.tenant: 1, theirs: 0} {
		records, err := b.ledger.Records(b.ctx(), tenantID)
		if err != nil || len(records) != want {
			t.Errorf("the records of a tenant with a health: %v, %v", records, err)
		}
	}
	if head, err := b.ledger.Head(b.ctx(), b.tenant); err != nil || head.Sequence != 0 {
		t.Errorf("its chain: %+v, %v", head, err)
	}
	ctx, cancel := context.WithCancel(b.ctx())
	cancel()
	if err := b.ledger.SetHealth(ctx, b.tenant, ill); err == nil {
		t.Error("a cancelled context wrote it")
	}
	holds(b.tenant, well)
}
