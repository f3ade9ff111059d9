package status_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/status"
	"packhorse/internal/tenant"
)

// fleet is a ledger of many tenants that counts what is asked about each.
type fleet struct {
	healths map[string]tenant.Health
	open    map[string][]investigation.Record
	bad     error // beside the healths

	mu    sync.Mutex // guards asked
	asked map[string]int
}

func (f *fleet) count(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked[id]++
}

func (f *fleet) Open(_ context.Context, id string) ([]investigation.Record, error) {
	f.count(id)
	return f.open[id], nil
}

func (f *fleet) Counts(_ context.Context, id string, since time.Time) (investigation.Counts, error) {
	f.count(id)
	return investigation.Counts{Since: since}, nil
}

func (f *fleet) Health(_ context.Context, id string) (tenant.Health, error) {
	f.count(id)
	h, ok := f.healths[id]
	if !ok && f.bad != nil {
		return h, f.bad
	}
	return h, nil
}

func (f *fleet) Healths(_ context.Context, ids []string) (map[string]tenant.Health, error) {
	f.count("healths")
	all := map[string]tenant.Health{}
	for _, id := range ids {
		if h, ok := f.healths[id]; ok {
			all[id] = h
		}
	}
	return all, f.bad
}

func (f *fleet) Busy(context.Context) (map[string]bool, error) {
	f.count("busy")
	busy := map[string]bool{}
	for id := range f.open {
		busy[id] = true
	}
	return busy, nil
}

func (f *fleet) Budget(_ context.Context, id string) (status.Budget, error) {
	f.count(id)
	return status.Budget{}, nil
}

func (*fleet) Credential(string) status.Credential { return status.Credential{} }

// TestSummarize: of a thousand tenants, those that need a person come first and those with work next, and only the
// records of those with work are read.
func TestSummarize(t *testing.T) {
	t.Parallel()
	f := &fleet{healths: map[string]tenant.Health{}, open: map[string][]investigation.Record{}, asked: map[string]int{}}
	var members []status.Member
	well := tenant.Health{}.Succeeded(now.Add(-10 * time.Second))
	for n := range 1000 {
		m := status.Member{ID: fmt.Sprintf("t%03d", n), Suspended: n < 3}
		members, f.healths[m.ID] = append(members, m), well
	}
	f.healths["t007"] = tenant.Health{}.Succeeded(now.Add(-43 * time.Second))
	f.healths["t010"] = well.Failed(now.Add(-time.Hour), "no consent").Failed(now, "no consent")
	delete(f.healths, "t011") // never swept
	f.open["t020"] = []investigation.Record{record(1, investigation.StateReady, nil)}
	f.open["t021"] = []investigation.Record{record(1, investigation.StateReady, func(r *investigation.Record) {
		r.LastUpdatedAt = now.Add(-2 * time.Hour)
	})}
	f.open["t002"] = f.open["t020"] // suspended: only counted
	got, err := status.Summarize(t.Context(), f, f, f, members, now)
	var order []string
	for _, tenant := range got.Tenants {
		order = append(order, tenant.TenantID)
	}
	if err != nil || strings.Join(order, " ") != "t010 t011 t021 t020" || got.Idle != 993 || got.Suspended != 3 ||
		got.All() != 1000 || !got.Stalest.Equal(now.Add(-43*time.Second)) {
		t.Errorf("got %v, %d idle, the stalest %v, %d suspended, %v", order, got.Idle, got.Stalest, got.Suspended, err)
	}
	if len(got.Tenants) == 4 && (!got.Tenants[0].Brief || got.Tenants[3].Brief || len(got.Tenants[3].Queue) != 1) {
		t.Errorf("got %+v", got.Tenants)
	}
	if len(f.asked) != 4 || f.asked["healths"] != 1 || f.asked["busy"] != 1 || f.asked["t020"] != 4 || f.asked["t021"] != 4 {
		t.Errorf("it asked %v", f.asked)
	}

	f.bad = fmt.Errorf("%w: health#t011", investigation.ErrBadRecord) // is that of t011, which is read again by itself
	got, err = status.Summarize(t.Context(), f, f, f, members, now)
	if err != nil || !strings.Contains(fmt.Sprint(got.Tenants[1].Problems), "health#t011") {
		t.Errorf("got %+v, %v", got.Tenants, err)
	}
	f.bad = errors.New("table gone")
	if _, err = status.Summarize(t.Context(), f, f, f, members, now); err == nil || !strings.Contains(err.Error(), "table gone") {
		t.Errorf("got %v", err)
	}
}

// TestSuspended: nobody sweeps a suspended tenant, and that needs no person.
func TestSuspended(t *testing.T) {
	t.Parallel()
	got := status.Of(status.Facts{Member: status.Member{ID: "a", Suspended: true}}, now)
	if len(got.Problems) != 0 || !got.Suspended {
		t.Errorf("got %+v", got)
	}
}
