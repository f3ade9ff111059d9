package evidence

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"packhorse/cmd/packhorse/console"
	"packhorse/internal/investigation"
	"packhorse/internal/verify"
	"packhorse/internal/verify/verifytest"
)

// asked counts how often a ledger is asked.
type asked struct {
	*verifytest.Book

	times *int
}

func (a asked) Head(ctx context.Context, tenantID string) (investigation.Head, error) {
	*a.times++
	return a.Book.Head(ctx, tenantID)
}

func (a asked) Records(ctx context.Context, tenantID string) ([]investigation.Record, error) {
	*a.times++
	return a.Book.Records(ctx, tenantID)
}

// TestRemember: a ledger that is remembered is asked once about each tenant, and every verification of one key finds
// the same as without.
func TestRemember(t *testing.T) {
	t.Parallel()
	w := verifytest.New(t)
	w.Book.Change(1, func(rec *investigation.Record) { rec.Receipt.SHA256 = strings.Repeat("0", 64) })
	w.Book.Change(2, func(rec *investigation.Record) { rec.Seal.Sequence = 9 })
	delete(w.Book.Known[verifytest.Tenant], verifytest.ActionID(3))
	delete(w.Store.Objects, verifytest.Key(verifytest.Prefix, 6, ".json"))
	open := func(times *int) *Evidence {
		return &Evidence{
			archive: openArchive{Archive: w.Store}, trust: w.Trust(t),
			ledger: &Ledger{TenantsLedger: asked{w.Book, times}},
		}
	}
	var often, once int
	plain, remembering := open(&often), open(&once)
	remembering.Remember()
	var verdicts []string
	for key := range w.Store.Objects {
		if parts, ok := investigation.ParseKey(key); !ok || parts.Part != investigation.PartManifest && !strings.HasSuffix(key, ".zip") {
			continue
		}
		var found [2]verify.Summary
		for i, e := range []*Evidence{plain, remembering} {
			sum, err := e.Verify(t.Context(), verify.Scope{Key: key}, console.Quiet{})
			if err != nil {
				t.Fatal(err)
			}
			sum.StartedAt, sum.EndedAt = time.Time{}, time.Time{}
			found[i] = sum
		}
		if !reflect.DeepEqual(found[0], found[1]) {
			t.Errorf("%s:\n%+v\n%+v", key, found[0].Problems, found[1].Problems)
		}
		verdicts = append(verdicts, string(found[1].Verdict()))
	}
	if !slices.Contains(verdicts, "PASS") || !slices.Contains(verdicts, "FAIL") {
		t.Errorf("the verdicts are %q", verdicts)
	}
	if want := 2 * 2; once != want || often <= want { // head and records, of two tenants
		t.Errorf("asked %d times, and %d without remembering; want %d", once, often, want)
	}
	whole, err := remembering.Verify(t.Context(), verify.Scope{}, console.Quiet{})
	if err != nil || len(whole.Tenants) != 2 || whole.Verdict() != verify.Fail {
		t.Errorf("a whole verification: %d tenants, %v", len(whole.Tenants), err)
	}
}
