package verify_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"packhorse/internal/investigation"
	"packhorse/internal/verify"
)

// moving is a ledger that changes between two reads of a tenant: Packhorse works during a verification.
type moving struct {
	verify.TenantsLedger
	later verify.TenantsLedger

	mu    sync.Mutex
	heads map[string]int
	lists map[string]int
}

func (m *moving) at(count *map[string]int, tenant string) verify.TenantsLedger {
	m.mu.Lock()
	defer m.mu.Unlock()
	if *count == nil {
		*count = map[string]int{}
	}
	(*count)[tenant]++
	if (*count)[tenant] > 1 {
		return m.later
	}
	return m.TenantsLedger
}

func (m *moving) Head(ctx context.Context, tenant string) (investigation.Head, error) {
	return m.at(&m.heads, tenant).Head(ctx, tenant)
}

func (m *moving) Records(ctx context.Context, tenant string) ([]investigation.Record, error) {
	return m.at(&m.lists, tenant).Records(ctx, tenant)
}

// A package that is stored while the archive is verified is no mismatch, whatever part of it is there.
func TestWorkInProgressIsNotAMismatch(t *testing.T) {
	t.Parallel()
	before := newWorld(t)
	after := before.Clone(t)
	after.Archive(t, tenant, 9, zipped(t, "stored during the verification"))
	trust := before.Trust(t)
	for _, tt := range []struct {
		name   string
		stored []string // the parts of action 9 that the listing shows
	}{
		{"nothing yet", nil},
		{"the package", []string{".zip"}},
		{"the package and its manifest", []string{".zip", ".json"}},
		{"all of it", []string{".zip", ".json", ".json.sig"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			seen := before.Clone(t)
			for _, suffix := range tt.stored {
				k := key(prefix, 9, suffix)
				seen.Store.Objects[k] = after.Store.Objects[k]
			}
			later := after.Clone(t)
			if len(tt.stored) < 3 { // not announced yet
				later.Book.Change(9, func(r *investigation.Record) {
					r.State, r.Seal.Manifest = investigation.StateArchived, string(after.Store.Body(key(prefix, 9, ".json")))
				})
			}
			ledger := &moving{TenantsLedger: seen.Book, later: later.Book}
			sum := runOn(t, seen.Store, trust, ledger, verify.Scope{})
			for _, f := range sum.Findings {
				if f.Check != verify.CheckSignature { // the manifest is there, its signature is on the way
					t.Errorf("found %v", f)
				}
			}
			if len(tt.stored) != 2 && sum.Verdict() != verify.Pass {
				t.Errorf("%s: %s", sum.Verdict(), sum.Headline())
			}
		})
	}
}

// What both reads of the ledger contradict stays a mismatch, although the ledger moved meanwhile.
func TestMovingLedgerDoesNotHideAMissingManifest(t *testing.T) {
	t.Parallel()
	before := newWorld(t)
	after := before.Clone(t)
	after.Archive(t, tenant, 9, zipped(t, "stored during the verification"))
	for _, suffix := range []string{".zip", ".json", ".json.sig"} {
		delete(before.Store.Objects, key(prefix, 3, suffix))
	}
	ledger := &moving{TenantsLedger: before.Book, later: after.Book}
	sum := runOn(t, before.Store, before.Trust(t), ledger, verify.Scope{})
	if sum.Verdict() != verify.Fail || !slices.ContainsFunc(sum.Problems, func(p verify.Problem) bool {
		return p.Title() == "manifest missing" && p.Key == key(prefix, 3, ".json")
	}) {
		t.Errorf("%s: %v", sum.Verdict(), sum.Problems)
	}
}

// malformed is a ledger with an invalid record or head.
type malformed struct {
	verify.TenantsLedger
	head, records error
}

func (m malformed) Head(ctx context.Context, tenant string) (investigation.Head, error) {
	head, err := m.TenantsLedger.Head(ctx, tenant)
	return head, errors.Join(err, m.head)
}

func (m malformed) Records(ctx context.Context, tenant string) ([]investigation.Record, error) {
	records, err := m.TenantsLedger.Records(ctx, tenant)
	return records, errors.Join(err, m.records)
}

// An invalid record or head in the ledger is a finding, and the rest is still compared.
func TestInvalidRecordsAreNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	invalid := fmt.Errorf("%w: action 77", investigation.ErrBadRecord)
	for name, ledger := range map[string]malformed{
		"a record": {TenantsLedger: w.Book, records: invalid},
		"a head":   {TenantsLedger: w.Book, head: invalid},
	} {
		sum := runOn(t, w.Store, w.Trust(t), ledger, verify.Scope{TenantID: tenant})
		if sum.Verdict() != verify.Fail || len(sum.Findings) != 1 || sum.Findings[0].Check != verify.CheckLedger ||
			!strings.Contains(sum.Findings[0].Found, "action 77") || len(sum.Subjects) != 7 {
			t.Errorf("%s: %s, %v", name, sum.Verdict(), sum.Findings)
		}
	}
}

// An action that the ledger calls done without having sealed a manifest is a mismatch.
func TestDoneWithoutASealIsAMismatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rec := w.Record(tenant, 9)
	rec.State, rec.Owner, rec.Lane = investigation.StateDone, "", ""
	w.Book.Known[tenant][rec.ActionID] = rec
	sum := w.Run(t, verify.Scope{TenantID: tenant})
	if len(sum.Findings) != 1 || sum.Findings[0].Check != verify.CheckLedger || sum.Findings[0].Host == "" ||
		!strings.Contains(sum.Findings[0].What, rec.ActionID) {
		t.Errorf("found %v", sum.Findings)
	}
}

// Two archives share a ledger: each lacks what the other has, and says how much.
func TestManifestsInAnotherArchiveAreCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Book.Change(6, func(r *investigation.Record) { r.Seal.Bucket = "another-bucket" })
	for _, suffix := range []string{".zip", ".json", ".json.sig"} {
		delete(w.Store.Objects, key(prefix, 6, suffix))
	}
	sum := w.Run(t, verify.Scope{TenantID: tenant})
	want := verify.Reach{Length: 7, Whole: true, Ended: true, Elsewhere: 1}
	if sum.Verdict() != verify.Pass || sum.Tenants[0].Chain != want {
		t.Errorf("%s: %+v, %v", sum.Verdict(), sum.Tenants[0].Chain, sum.Findings)
	}
}
