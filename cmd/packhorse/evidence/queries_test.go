package evidence

import (
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"packhorse/cmd/packhorse/embedded"
	"packhorse/cmd/packhorse/embedded/ledgertest"
	"packhorse/internal/investigation"
)

// TestScannedAnswersLikeAnIndex: it does not matter which kind of ledger is asked.
func TestScannedAnswersLikeAnIndex(t *testing.T) {
	t.Parallel()
	const tenant = "7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11"
	now := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	path := filepath.Join(t.TempDir(), "packhorse.db")
	ledgertest.Fill(t, path, tenant, 200, now)
	db, err := embedded.OpenDB(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	ledger := embedded.NewLedger(db)
	questions := map[string]func(queries, string) (any, int, error){
		"find": func(q queries, tenantID string) (any, int, error) {
			found, err := q.Find(t.Context(), investigation.Filter{TenantID: tenantID, State: "notCollected", Limit: 7})
			return found, len(found), err
		},
		"open": func(q queries, tenantID string) (any, int, error) {
			open, err := q.Open(t.Context(), tenantID)
			return open, len(open), err
		},
		"counts": func(q queries, tenantID string) (any, int, error) {
			counts, err := q.Counts(t.Context(), tenantID, now.Add(-time.Hour))
			return counts, counts.Archived, err
		},
		"values": func(q queries, tenantID string) (any, int, error) {
			values, err := q.Values(t.Context(), investigation.Beginning{TenantID: tenantID, Limit: 5,
				Field: investigation.FieldHost, Text: "FIN-ws-0000"})
			return values, len(values), err
		},
	}
	wantLen := map[string]int{"find": 7, "open": ledgertest.Ready + ledgertest.Waiting, "counts": 27, "values": 5}
	for name, ask := range questions {
		for _, tenantID := range []string{"", tenant, "another"} {
			want, n, err := ask(ledger, tenantID)
			got, _, scanErr := ask(scanned{ledger}, tenantID)
			if err != nil || scanErr != nil || !sameOrEmpty(got, want) {
				t.Errorf("%s of %q: got %+v, %v; want %+v, %v", name, tenantID, got, scanErr, want, err)
			}
			if tenantID != "another" && n != wantLen[name] {
				t.Errorf("%s of %q: got %d, want %d", name, tenantID, n, wantLen[name])
			}
		}
	}
}

// sameOrEmpty is equality that does not tell an empty list from none.
func sameOrEmpty(a, b any) bool {
	v, w := reflect.ValueOf(a), reflect.ValueOf(b)
	return reflect.DeepEqual(a, b) || v.Kind() == reflect.Slice && v.Len() == 0 && w.Len() == 0
}
