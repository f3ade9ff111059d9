package verify_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"packhorse/internal/investigation"
	"packhorse/internal/verify"
	"packhorse/internal/verify/verifytest"
)

// TestVerdict reaches each verdict in turn.
func TestVerdict(t *testing.T) {
	t.Parallel()
	whole := newWorld(t)
	pkg := key(prefix, 2, ".zip")
	for _, tt := range []struct {
		name  string
		do    func(w *world)
		scope verify.Scope
		want  verify.Overall
		says  string
	}{
		{"all", func(*world) {}, verify.Scope{}, verify.Pass, "everything agrees"},
		{"a key", func(*world) {}, verify.Scope{Key: pkg}, verify.Pass, "everything agrees"},
		{"one byte", func(w *world) { flip(w, pkg) }, verify.Scope{}, verify.Fail,
			"SHA-256 differs (host fin-ws-17.contoso.com, case INC-4711): " + pkg},
		{"another tenant, though there is tampering", func(w *world) { flip(w, pkg) },
			verify.Scope{TenantID: "99999999-2222-4333-8444-555555555555"}, verify.Empty,
			"nothing of the tenant 99999999-2222-4333-8444-555555555555 is in memory: it has " + tenant2 + ", " + tenant},
		{"an unused key", func(*world) {}, verify.Scope{Key: key(prefix, 9, ".zip")}, verify.Empty,
			"nothing is stored under " + key(prefix, 9, ".zip")},
		{"a key whose files are gone", func(w *world) {
			for _, suffix := range []string{".zip", ".json", ".json.sig"} {
				delete(w.Store.Objects, key(prefix, 2, suffix))
			}
		}, verify.Scope{Key: pkg}, verify.Fail, "manifest missing"},
		{"an empty archive", func(w *world) { *w = world{Store: &verifytest.Store{}, Book: &verifytest.Book{}, Keys: w.Keys} },
			verify.Scope{}, verify.Empty, "no manifest in memory"},
		{"all is deleted, and the ledger knows", func(w *world) { w.Store.Objects = nil }, verify.Scope{},
			verify.Fail, "manifest missing"},
		{"attributes lost", func(w *world) { w.Store.Unversion = true }, verify.Scope{}, verify.Partial,
			"version, lock (attributes lost in copying"},
		{"unread", func(w *world) { w.Store.Refuse = errors.New("the network is down") }, verify.Scope{Key: pkg},
			verify.Partial, "cannot be read"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := whole.Clone(t)
			trust := w.Trust(t)
			tt.do(w)
			sum := runOn(t, w.Store, trust, w.Book, tt.scope)
			if sum.Verdict() != tt.want || !strings.Contains(sum.Headline(), tt.says) {
				t.Errorf("%s: %s, want %s: %s", sum.Verdict(), sum.Headline(), tt.want, tt.says)
			}
		})
	}
}

func flip(w *world, key string) {
	body := slices.Clone(w.Store.Body(key))
	body[len(body)/2] ^= 1
	w.Store.Change(key, body)
}

// TestKeyNotTrusted: keys that came with the archive prove nothing, and the verdict says so.
func TestKeyNotTrusted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	trust, _, err := verify.TrustArchive(t.Context(), w.Store)
	if err != nil {
		t.Fatal(err)
	}
	sum := runOn(t, w.Store, trust, w.Book, verify.Scope{})
	if sum.Verdict() != verify.Partial || !sum.KeyNotTrusted() || sum.Headline() != "consistent, key not trusted" {
		t.Errorf("%s: %s", sum.Verdict(), sum.Headline())
	}
	// Somebody else's archive is consistent too, and not trusted either.
	w = newWorld(t)
	sum = runOn(t, w.Store, w.Trust(t), w.Book, verify.Scope{})
	if sum.Verdict() != verify.Pass || sum.KeyNotTrusted() {
		t.Errorf("%s: %s", sum.Verdict(), sum.Headline())
	}
}

// TestNotNeeded: a bucket that never had versions or locks has no gaps.
func TestNotNeeded(t *testing.T) {
	t.Parallel()
	w := verifytest.Unlocked(t)
	sum := w.Run(t, verify.Scope{})
	if sum.Verdict() != verify.Pass {
		t.Errorf("%s: %s", sum.Verdict(), sum.Headline())
	}
	for _, check := range []verify.Check{verify.CheckVersion, verify.CheckLock} {
		if r := sum.Subjects[0].Result(check); r.Verdict != verify.VerdictNotChecked || !r.NotNeeded {
			t.Errorf("%+v", r)
		}
	}
}

// TestNotEstablished: checks that depend on a failed one are not established.
func TestNotEstablished(t *testing.T) {
	t.Parallel()
	whole := newWorld(t)
	pkg, manifest := key(prefix, 2, ".zip"), key(prefix, 2, ".json")
	later := []verify.Check{verify.CheckVersion, verify.CheckLock}
	for _, tt := range []struct {
		name string
		do   func(w *world)
		not  []verify.Check // established
		ok   []verify.Check
	}{
		{"the object is gone", func(w *world) { delete(w.Store.Objects, pkg) }, later,
			[]verify.Check{verify.CheckManifest, verify.CheckSignature, verify.CheckLedger}},
		{"a flipped byte", func(w *world) { flip(w, pkg) }, later,
			[]verify.Check{verify.CheckManifest, verify.CheckSignature, verify.CheckLedger}},
		{"an empty object", func(w *world) { w.Store.Change(pkg, nil) }, later, nil},
		{"no signature", func(w *world) { delete(w.Store.Objects, manifest+".sig") },
			[]verify.Check{verify.CheckObject, verify.CheckVersion, verify.CheckLock, verify.CheckLedger},
			[]verify.Check{verify.CheckManifest}},
		{"no manifest", func(w *world) { delete(w.Store.Objects, manifest) },
			[]verify.Check{verify.CheckSignature, verify.CheckObject, verify.CheckVersion, verify.CheckLock,
				verify.CheckLedger}, nil},
		{"a manifest that is not one", func(w *world) { flip(w, manifest) },
			[]verify.Check{verify.CheckObject, verify.CheckVersion, verify.CheckLock}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := whole.Clone(t)
			tt.do(w)
			s := w.Run(t, verify.Scope{Key: pkg}).Subjects[0]
			for _, check := range tt.not {
				if r := s.Result(check); r.Verdict != verify.VerdictNotEstablished || r.Why == "" {
					t.Errorf("%+v", r)
				}
			}
			for _, check := range tt.ok {
				if r := s.Result(check); r.Verdict != verify.VerdictOK {
					t.Errorf("%+v", r)
				}
			}
		})
	}
}

// TestProblems: one cause makes one problem, with host and case, and its consequences are folded under it.
func TestProblems(t *testing.T) {
	t.Parallel()
	whole := newWorld(t)
	whole.Book.Change(3, func(r *investigation.Record) { r.ComputerDNSName = "hr-nb-39.contoso.com" })
	trust := whole.Trust(t)
	pkg, manifest := key(prefix, 2, ".zip"), key(prefix, 2, ".json")
	for _, tt := range []struct {
		name    string
		do      func(w *world)
		ledger  bool
		title   string
		because []string // parts of the folded findings
		only    bool     // it is the only problem
	}{
		{"the manifest is gone", func(w *world) { delete(w.Store.Objects, manifest) }, true,
			"manifest missing", []string{"no manifest mentions it", "manifests are missing before this one"}, true},
		{"the manifest is gone, without a ledger", func(w *world) { delete(w.Store.Objects, manifest) },
			false, "manifest missing", []string{"manifests are missing before this one"}, true},
		{"all of it is gone", func(w *world) {
			for _, suffix := range []string{".zip", ".json", ".json.sig"} {
				delete(w.Store.Objects, key(prefix, 2, suffix))
			}
		}, true, "manifest missing", []string{"manifests are missing before this one"}, true},
		{"the last is gone", func(w *world) {
			for _, suffix := range []string{".zip", ".json", ".json.sig"} {
				delete(w.Store.Objects, key(prefix, 6, suffix))
			}
		}, true, "manifest missing", []string{"missing at the end"}, true},
		{"the manifest is damaged", func(w *world) { w.Store.Change(manifest, []byte("{}")) }, true,
			"not a valid manifest", []string{"manifests are missing before this one"}, true},
		{"a swapped package", func(w *world) {
			w.Store.Change(pkg, w.Store.Body(key(prefix, 3, ".zip")))
		}, true, "these bytes are the package of fin-ws-17.contoso.com", nil, true},
		{"a swapped package, by the ledger", func(w *world) {
			w.Store.Change(pkg, w.Store.Body(key(prefix, 3, ".zip")))
			for _, suffix := range []string{".zip", ".json", ".json.sig"} {
				delete(w.Store.Objects, key(prefix, 3, suffix))
			}
		}, true, "manifest missing", nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := whole.Clone(t)
			tt.do(w)
			var ledger verify.Ledger
			if tt.ledger {
				ledger = w.Book
			}
			sum := runOn(t, w.Store, trust, ledger, verify.Scope{})
			p := sum.Problems[0]
			if p.Title() != tt.title || p.Host == "" && tt.ledger || p.Case != "INC-4711" && tt.ledger ||
				tt.only && len(sum.Problems) != 1 {
				t.Fatalf("%d problems, the first %q of %s, case %s, because %q", len(sum.Problems), p.Title(), p.Host,
					p.Case, p.Because)
			}
			for _, says := range tt.because {
				if !slices.ContainsFunc(p.Because, func(f verify.Finding) bool { return strings.Contains(f.What, says) }) {
					t.Errorf("%q is not folded under it: %q", says, p.Because)
				}
			}
		})
	}
}

// TestForeignKey: a wrong public key makes one problem, not one for each manifest.
func TestForeignKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := newWorld(t)
	sum := runOn(t, w.Store, other.Trust(t), w.Book, verify.Scope{})
	if len(sum.Problems) != 1 || sum.Problems[0].Title() != "signed by a key that is not trusted" ||
		len(sum.Problems[0].Because) < 7 {
		t.Errorf("%d problems: %q", len(sum.Problems), sum.Problems)
	}
}

// TestWhoseByLedger verifies a single key without the other manifests. The ledger still knows which host
// the bytes belong to.
func TestWhoseByLedger(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Book.Change(3, func(r *investigation.Record) { r.ComputerDNSName = "hr-nb-39.contoso.com" })
	w.Store.Change(key(prefix, 2, ".zip"), w.Store.Body(key(prefix, 3, ".zip")))
	sum := w.Run(t, verify.Scope{Key: key(prefix, 2, ".zip")})
	if got := sum.Problems[0].Title(); got != "these bytes are the package of hr-nb-39.contoso.com" {
		t.Errorf("got %q", got)
	}
}
