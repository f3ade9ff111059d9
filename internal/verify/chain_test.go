package verify_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
	"packhorse/internal/verify"
)

// numbersOf returns the sequence numbers of the first tenant's manifests, by action.
func numbersOf(t *testing.T, w *world) map[int][]int64 {
	t.Helper()
	numbers := map[int][]int64{}
	for k, versions := range w.Store.Objects {
		if !strings.HasSuffix(k, ".json") || !strings.Contains(k, tenant) {
			continue
		}
		m, err := manifest.Parse(versions[len(versions)-1].Body)
		if err != nil {
			t.Fatal(err)
		}
		for n := 1; n <= 6; n++ {
			if m.Action.ID == actionID(n) {
				numbers[n] = append(numbers[n], m.Chain.Sequence)
			}
		}
	}
	return numbers
}

// without returns the world without any file of the given actions of the first tenant.
func without(t *testing.T, w *world, actions []int) *world {
	t.Helper()
	c := w.Clone(t)
	for k := range c.Store.Objects {
		for _, n := range actions {
			if strings.Contains(k, tenant) && strings.Contains(k, actionID(n)) {
				delete(c.Store.Objects, k)
			}
		}
	}
	return c
}

// Whichever actions somebody removes, all files of each: with the ledger every missing manifest is named.
// Without it, each gap is named, and only a missing end goes unnoticed, which the gap in the checks says.
func TestEveryRemovedActionIsNoticed(t *testing.T) {
	t.Parallel()
	whole := newWorld(t)
	trust := whole.Trust(t)
	numbers := numbersOf(t, whole)
	if len(numbers) != 6 || len(numbers[5]) != 2 {
		t.Fatalf("the numbers are %v", numbers)
	}
	for subset := 1; subset < 1<<6; subset++ {
		var removed []int
		gone := map[int64]bool{}
		for n := 1; n <= 6; n++ {
			if subset&(1<<(n-1)) != 0 {
				removed = append(removed, n)
				for _, number := range numbers[n] {
					gone[number] = true
				}
			}
		}
		t.Run(fmt.Sprint(removed), func(t *testing.T) {
			t.Parallel()
			w := without(t, whole, removed)
			sum := runOn(t, w.Store, trust, w.Book, verify.Scope{TenantID: tenant})
			var named []string
			for _, f := range sum.Findings {
				if f.Check == verify.CheckLedger {
					named = append(named, f.Expected)
				}
			}
			if sum.Verdict() != verify.Fail || len(named) != len(gone) {
				t.Errorf("with the ledger: %s, named %q", sum.Verdict(), named)
			}
			for number := range gone {
				if !slices.ContainsFunc(named, func(s string) bool {
					return strings.HasPrefix(s, fmt.Sprintf("number %d,", number))
				}) {
					t.Errorf("number %d is missing and not named: %q", number, named)
				}
			}

			last := int64(0) // the last number that is left
			for number := int64(1); number <= 7; number++ {
				if !gone[number] {
					last = number
				}
			}
			inside := false // a number before the last one is gone
			for number := range gone {
				inside = inside || number < last
			}
			alone := runOn(t, w.Store, trust, nil, verify.Scope{TenantID: tenant})
			want := verify.Partial
			switch {
			case last == 0:
				want = verify.Empty
			case inside:
				want = verify.Fail
			}
			if alone.Verdict() != want {
				t.Errorf("without a ledger: %s, want %s: %v", alone.Verdict(), want, alone.Findings)
			}
			if want == verify.Partial && (alone.Tenants[0].Chain.Length != last || alone.Tenants[0].Chain.Ended) {
				t.Errorf("without a ledger: the chain is %+v, the last number is %d", alone.Tenants[0].Chain, last)
			}
		})
	}
}

// A gap names its numbers and the manifest after it.
func TestGapNamesItsNumbers(t *testing.T) {
	t.Parallel()
	whole := newWorld(t)
	trust := whole.Trust(t)
	for _, tt := range []struct {
		removed  []int
		expected string
		found    string
	}{
		{[]int{1}, "a manifest with number 1", "number 2 as the first"},
		{[]int{1, 2}, "manifests with numbers 1 to 2", "number 3 as the first"},
		{[]int{3}, "a manifest with number 3", "number 4 after 2"},
		{[]int{3, 4, 5}, "manifests with numbers 3 to 6", "number 7 after 2"},
	} {
		sum := runOn(t, without(t, whole, tt.removed).Store, trust, nil, verify.Scope{TenantID: tenant})
		if len(sum.Findings) != 1 || sum.Findings[0].Check != verify.CheckChain ||
			sum.Findings[0].Expected != tt.expected || sum.Findings[0].Found != tt.found {
			t.Errorf("without %v: %v", tt.removed, sum.Findings)
		}
	}
}

// A single manifest cannot show a gap, and the summary does not claim to have looked.
func TestChainIsNotJudgedFromOneManifest(t *testing.T) {
	t.Parallel()
	w := without(t, newWorld(t), []int{1})
	sum := w.Run(t, verify.Scope{Key: key(prefix, 2, ".zip")})
	if sum.Verdict() != verify.Pass || len(sum.Tenants) != 1 || sum.Tenants[0].Chain.Why == "" ||
		sum.Tenants[0].Chain.Whole {
		t.Errorf("%s: %+v", sum.Verdict(), sum.Tenants)
	}
}

// One tenant's broken chain says nothing about another's.
func TestChainsOfTenantsAreIndependent(t *testing.T) {
	t.Parallel()
	w := without(t, newWorld(t), []int{2})
	sum := w.Run(t, verify.Scope{})
	for _, got := range sum.Tenants {
		if whole := got.ID == tenant2; got.Chain.Whole != whole || (got.Findings == 0) != whole {
			t.Errorf("tenant %s: %+v", got.ID, got)
		}
	}
	if other := w.Run(t, verify.Scope{TenantID: tenant2}); other.Verdict() != verify.Pass {
		t.Errorf("the other tenant: %s, %v", other.Verdict(), other.Findings)
	}
}

// Problems come in the order in which a person should look at them: what is missing, then what is wrong,
// then what follows from neither.
func TestProblemsAreInOrder(t *testing.T) {
	t.Parallel()
	whole := newWorld(t)
	w := without(t, whole, []int{3})
	flip(w, key(prefix, 1, ".zip"))
	relock(key(prefix, 2, ".zip"), investigation.Retention{LegalHold: true})(t, w)
	w.Store.Put("packages/notes.txt", []byte("x"), lock)
	sum := runOn(t, w.Store, whole.Trust(t), w.Book, verify.Scope{})
	var got []verify.Check
	for _, p := range sum.Problems {
		got = append(got, p.Check)
	}
	want := []verify.Check{verify.CheckLedger, verify.CheckObject, verify.CheckLock, verify.CheckStray}
	if !slices.Equal(got, want) || sum.Problems[0].Title() != "manifest missing" ||
		sum.Problems[0].Key != key(prefix, 3, ".json") {
		t.Errorf("got %v, want %v: %v", got, want, sum.Problems)
	}
	if len(sum.Problems[0].Because) != 1 || sum.Problems[0].Because[0].Check != verify.CheckChain {
		t.Errorf("the gap is not folded under the missing manifest: %v", sum.Problems[0].Because)
	}
}

// A finding's text has its key, its check, and whatever it knows of the two sides.
func TestFindingSaysBothSides(t *testing.T) {
	t.Parallel()
	for want, f := range map[string]verify.Finding{
		"k: lock: w":                      {Key: "k", Check: verify.CheckLock, What: "w"},
		"k: lock: w: expected a, found b": {Key: "k", Check: verify.CheckLock, What: "w", Expected: "a", Found: "b"},
		"k: lock: w: expected a":          {Key: "k", Check: verify.CheckLock, What: "w", Expected: "a"},
		"k: lock: w: found b":             {Key: "k", Check: verify.CheckLock, What: "w", Found: "b"},
		"chain: w":                        {Check: verify.CheckChain, What: "w"},
	} {
		if got := f.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
