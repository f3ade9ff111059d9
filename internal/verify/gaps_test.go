package verify_test

import (
	"strings"
	"testing"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/verify"
	"packhorse/internal/verify/verifytest"
)

// What was not checked is a gap with a reason, and people get advice on how to close it.
func TestGapsHaveReasonsAndAdvice(t *testing.T) {
	t.Parallel()
	whole := newWorld(t)
	trusted := whole.Trust(t)
	came, _, err := verify.TrustArchive(t.Context(), whole.Store)
	if err != nil {
		t.Fatal(err)
	}
	copied := &verifytest.Store{Objects: map[string][]verifytest.Version{}}
	copyInto(whole, "copy/", copied)
	lost := whole.Store.Clone()
	lost.Unversion = true
	for _, tt := range []struct {
		name    string
		archive verify.Archive
		trust   verify.Trust
		ledger  verify.Ledger
		gaps    []verify.Check
		advice  []string // part of each remark
	}{
		{"nothing is missing", whole.Store, trusted, whole.Book, nil, nil},
		{"no ledger", whole.Store, trusted, nil, []verify.Check{verify.CheckLedger, verify.CheckChain},
			[]string{"No ledger"}},
		{"keys from the archive", whole.Store, came, whole.Book, []verify.Check{verify.CheckKey}, []string{"--pub"}},
		{"a copy", verify.Under(copied, "copy/"), trusted, whole.Book,
			[]verify.Check{verify.CheckVersion, verify.CheckLock}, []string{"a copy"}},
		{"a folder that lost its attributes", lost, trusted, whole.Book,
			[]verify.Check{verify.CheckVersion, verify.CheckLock}, []string{"cp -a"}},
		{"a copy, keys from it, no ledger", verify.Under(copied, "copy/"), came, nil,
			[]verify.Check{verify.CheckVersion, verify.CheckLock, verify.CheckLedger, verify.CheckChain, verify.CheckKey},
			[]string{"--pub", "No ledger", "a copy"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sum := runOn(t, tt.archive, tt.trust, tt.ledger, verify.Scope{})
			want := verify.Partial
			if len(tt.gaps) == 0 {
				want = verify.Pass
			}
			if sum.Verdict() != want || len(sum.Gaps) != len(tt.gaps) || len(sum.Remarks) != len(tt.advice) {
				t.Fatalf("%s: gaps %+v, remarks %q", sum.Verdict(), sum.Gaps, sum.Remarks)
			}
			for i, check := range tt.gaps {
				if g := sum.Gaps[i]; g.Check != check || g.Why == "" {
					t.Errorf("gap %d: %+v, want %s", i, g, check)
				}
			}
			for i, says := range tt.advice {
				if !strings.Contains(sum.Remarks[i], says) {
					t.Errorf("remark %d: %q, want %q in it", i, sum.Remarks[i], says)
				}
			}
			required := []verify.Check{verify.CheckSignature, verify.CheckLock}
			unmade := sum.Unmade(required)
			for _, g := range unmade {
				if g.Check != verify.CheckLock {
					t.Errorf("unmade: %+v", g)
				}
			}
			if hasLock := len(tt.gaps) > 1 && tt.gaps[1] == verify.CheckLock; hasLock != (len(unmade) == 1) {
				t.Errorf("unmade: %+v", unmade)
			}
		})
	}
}

// Without any trusted key, no signature is taken for true, and the advice says what is missing.
func TestNoKeyAtAllFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sum := runOn(t, w.Store, verify.Trust{}, w.Book, verify.Scope{TenantID: tenant})
	if sum.Verdict() != verify.Fail || len(sum.Problems) != 1 || !strings.Contains(sum.Problems[0].Expected, "no key") ||
		len(sum.Remarks) != 1 || !strings.Contains(sum.Remarks[0], "--pub") {
		t.Errorf("%s: %v; remarks %q", sum.Verdict(), sum.Problems, sum.Remarks)
	}
	for _, s := range sum.Subjects {
		if s.OK() || s.Result(verify.CheckSignature).Verdict != verify.VerdictMismatch {
			t.Errorf("%s: %+v", s.Key, s.Results)
		}
	}
}

// A lock that has run out may be gone; a legal hold may not.
func TestExpiredLockMayBeGone(t *testing.T) {
	t.Parallel()
	whole := newWorld(t)
	trust := whole.Trust(t)
	pkg := key(prefix, 2, ".zip")
	for _, tt := range []struct {
		name string
		now  time.Time
		is   investigation.Retention
		want verify.Overall
	}{
		{"gone in time", lock.Until.Add(time.Hour), investigation.Retention{LegalHold: true}, verify.Pass},
		{"gone a second early", lock.Until.Add(-time.Second), investigation.Retention{LegalHold: true}, verify.Fail},
		{"shorter, but over", lock.Until.Add(time.Hour),
			investigation.Retention{Mode: "GOVERNANCE", Until: lock.Until.Add(-time.Minute), LegalHold: true}, verify.Pass},
		{"the hold is gone", lock.Until.Add(time.Hour), investigation.Retention{}, verify.Fail},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := whole.Clone(t)
			relock(pkg, tt.is)(t, w)
			sum, err := verify.New(w.Store, trust, w.Book, func() time.Time { return tt.now }, quiet{}).
				Run(t.Context(), verify.Scope{Key: pkg})
			if err != nil || sum.Verdict() != tt.want {
				t.Errorf("%s, %v: %v", sum.Verdict(), err, sum.Findings)
			}
		})
	}
}

// Every key of a piece of evidence leads to it, and no other key does.
func TestSubjectCoversItsKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.Run(t, verify.Scope{Key: key(prefix, 2, ".zip")}).Subjects[0]
	for k, want := range map[string]bool{
		key(prefix, 2, ".zip"): true, key(prefix, 2, ".json"): true, key(prefix, 2, ".json.sig"): true,
		investigation.Place(key(prefix, 2, ".zip"), 3): true,
		key(prefix, 3, ".zip"):                         false, key("quarantine/", 2, ".bin"): false, "readme.txt": false, "": false,
	} {
		if got := s.Covers(k); got != want {
			t.Errorf("%q: %t", k, got)
		}
	}
}

// A version that nobody named is compared as well: the manifest names the one that counts.
func TestDeletedVersionsAreNamed(t *testing.T) {
	t.Parallel()
	whole := newWorld(t)
	trust := whole.Trust(t)
	pkg := key(prefix, 2, ".zip")
	for _, tt := range []struct {
		name  string
		do    func(w *world)
		check verify.Check
		found string
	}{
		{"every version is deleted", func(w *world) {
			w.Store.Objects[pkg] = []verifytest.Version{versionGone()}
		}, verify.CheckObject, ""},
		{"the version is deleted, others are left", func(w *world) {
			w.Store.Put(pkg, w.Store.Body(pkg), lock)
			w.Store.Put(pkg, w.Store.Body(pkg), lock)
			w.Store.Objects[pkg] = w.Store.Objects[pkg][1:]
		}, verify.CheckVersion, "2 others, the newest v3"},
		{"every signature is deleted", func(w *world) {
			w.Store.Objects[key(prefix, 2, ".json.sig")] = []verifytest.Version{versionGone()}
		}, verify.CheckSignature, ""},
		{"every manifest is deleted", func(w *world) {
			w.Store.Objects[key(prefix, 2, ".json")] = []verifytest.Version{versionGone()}
		}, verify.CheckManifest, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := whole.Clone(t)
			tt.do(w)
			sum := runOn(t, w.Store, trust, w.Book, verify.Scope{Key: pkg})
			s := sum.Subjects[0]
			if sum.Verdict() != verify.Fail || s.Result(tt.check).Verdict != verify.VerdictMismatch {
				t.Fatalf("%s: %+v", sum.Verdict(), s.Results)
			}
			for _, f := range s.Findings {
				if f.Check == tt.check && !strings.Contains(f.Found, tt.found) {
					t.Errorf("found %v", f)
				}
			}
		})
	}
}
