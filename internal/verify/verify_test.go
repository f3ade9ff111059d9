package verify_test

import (
	"bytes"
	"errors"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
	"packhorse/internal/racing"
	"packhorse/internal/verify"
	"packhorse/internal/verify/verifytest"
)

func TestTrue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sum := w.Run(t, verify.Scope{})
	for _, f := range sum.Findings {
		t.Errorf("found %v", f)
	}
	if len(sum.Remarks) != 0 {
		t.Errorf("remarks: %q", sum.Remarks)
	}
	want := []verify.Tenant{
		{ID: tenant2, Manifests: 1, Archived: 1, Keys: 1, Chain: verify.Reach{Length: 1, Whole: true, Ended: true}},
		{ID: tenant, Manifests: 7, Archived: 4, NotCollected: 2, Quarantined: 1, Keys: 1,
			Chain: verify.Reach{Length: 7, Whole: true, Ended: true}},
	}
	for i, got := range sum.Tenants {
		if got.Bytes == 0 {
			t.Errorf("no bytes of tenant %s were read", got.ID)
		}
		got.Bytes = 0
		if got != want[i] {
			t.Errorf("tenant: got %+v, want %+v", got, want[i])
		}
	}
	for _, s := range sum.Subjects {
		for _, r := range s.Results {
			if r.Verdict != verify.VerdictOK {
				t.Errorf("%s: %+v", s.Key, r)
			}
		}
	}
}

// TestScopes verifies one key, by any of its names, and one tenant.
func TestScopes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, tt := range []struct {
		scope    verify.Scope
		subjects int
	}{
		{verify.Scope{Key: key(prefix, 2, ".zip")}, 1},
		{verify.Scope{Key: key(prefix, 2, ".json")}, 1},
		{verify.Scope{Key: key(prefix, 2, ".json.sig")}, 1},
		{verify.Scope{Key: key("quarantine/", 5, ".bin")}, 1},
		{verify.Scope{Key: key("not-collected/", 5, ".json")}, 2},
		{verify.Scope{Key: key("not-collected/", 4, ".json")}, 1},
		{verify.Scope{TenantID: tenant2}, 1},
		{verify.Scope{TenantID: tenant}, 7},
	} {
		sum := w.Run(t, tt.scope)
		if len(sum.Subjects) != tt.subjects || len(sum.Findings) != 0 {
			t.Errorf("%v: %d subjects, want %d; found %v", tt.scope, len(sum.Subjects), tt.subjects, sum.Findings)
		}
	}
	sum := w.Run(t, verify.Scope{Key: key(prefix, 9, ".zip")})
	if err := verifytest.First(sum); err == nil || !strings.Contains(err.Error(), "nothing is stored under the key") {
		t.Errorf("an unused key: %v", err)
	}
}

// TestAnyBit checks that any flipped bit of a manifest, signature or object is found.
func TestAnyBit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	trust := w.Trust(t)
	step := racing.Size(1, 29)
	detect := func(name string, body []byte, bit int) {
		t.Helper()
		changed := bytes.Clone(body)
		changed[bit/8] ^= 1 << (bit % 8)
		c := w.Store.Clone()
		c.Change(name, changed)
		// Without a ledger, so the files alone must show the change.
		sum := runOn(t, c, trust, nil, verify.Scope{Key: key(prefix, 2, ".zip")})
		if verifytest.First(sum) == nil {
			t.Errorf("%s: bit %d was changed, and nothing was found", name, bit)
		}
	}
	for _, name := range []string{key(prefix, 2, ".json"), key(prefix, 2, ".json.sig")} {
		body := w.Store.Body(name)
		for bit := 0; bit < len(body)*8; bit += step {
			detect(name, body, bit)
		}
	}
	object := w.Store.Body(key(prefix, 2, ".zip"))
	for range 1000 / step {
		detect(key(prefix, 2, ".zip"), object, mathrand.IntN(len(object)*8))
	}
}

// tampering is one way to tamper with a world, and the expected finding.
type tampering struct {
	name  string
	tell  func(t *testing.T, w *world)
	check verify.Check
	says  string
	key   string // of the finding
}

func tamperings() []tampering {
	pkg, manifest := key(prefix, 2, ".zip"), key(prefix, 2, ".json")
	signature := manifest + ".sig"
	missing := func(keys ...string) func(*testing.T, *world) {
		return func(_ *testing.T, w *world) {
			for _, k := range keys {
				delete(w.Store.Objects, k)
			}
		}
	}
	return []tampering{
		{"the object is gone", missing(pkg), verify.CheckObject, "the object is missing", pkg},
		{"the signature is gone", missing(signature), verify.CheckSignature, "the signature is missing", signature},
		{"the manifest is gone", missing(manifest), verify.CheckStray, "no manifest mentions it", pkg},
		{"the manifest is gone: the ledger", missing(manifest), verify.CheckLedger, "not in the archive", manifest},
		{"middle of the chain", missing(pkg, manifest, signature), verify.CheckChain,
			"manifests are missing before this one: expected a manifest with number 2, found number 3 after 1",
			key(prefix, 3, ".json")},
		{"tail of the chain", missing(key(prefix, 6, ".zip"), key(prefix, 6, ".json"), key(prefix, 6, ".json.sig")),
			verify.CheckChain, "missing at the end", ""},
		{"tail of the chain: the ledger", missing(key(prefix, 6, ".zip"), key(prefix, 6, ".json"),
			key(prefix, 6, ".json.sig")), verify.CheckLedger, "not in the archive", key(prefix, 6, ".json")},
		{"a whole tenant", func(_ *testing.T, w *world) {
			for k := range w.Store.Objects {
				if strings.Contains(k, tenant2) {
					delete(w.Store.Objects, k)
				}
			}
		}, verify.CheckChain, "missing at the end", ""},
		{"zero bytes: object", zero(pkg), verify.CheckObject, "size differs", pkg},
		{"zero bytes: manifest", zero(manifest), verify.CheckManifest, "not a valid manifest", manifest},
		{"zero bytes: signature", zero(signature), verify.CheckSignature, "does not match this manifest", signature},
		{"truncated", func(_ *testing.T, w *world) {
			w.Store.Change(pkg, w.Store.Body(pkg)[:100])
		}, verify.CheckObject, "found 100 bytes", pkg},
		{"something at the end of the manifest", func(_ *testing.T, w *world) {
			w.Store.Change(manifest, append(bytes.Clone(w.Store.Body(manifest)), '\n'))
		}, verify.CheckManifest, "canonical", manifest},
		{"a huge manifest", func(_ *testing.T, w *world) {
			w.Store.Change(manifest, bytes.Repeat([]byte(" "), 2<<20))
		}, verify.CheckManifest, "too large", manifest},
		{"a huge signature", func(_ *testing.T, w *world) {
			w.Store.Change(signature, bytes.Repeat([]byte("0"), 2<<20))
		}, verify.CheckSignature, "too large", signature},
		{"two packages swapped", swap(".zip"), verify.CheckObject, "SHA-256 differs", pkg},
		{"two manifests swapped", swap(".json"), verify.CheckManifest, "belongs under another key", manifest},
		{"two signatures swapped", swap(".json.sig"), verify.CheckSignature, "does not match this manifest", signature},
		{"a foreign key", foreign, verify.CheckSignature, "names a key that is not trusted", key(prefix, 9, ".json.sig")},
		{"a published key under another name", func(_ *testing.T, w *world) {
			for k := range w.Store.Objects {
				if strings.HasPrefix(k, "signing-keys/") {
					w.Store.Objects["signing-keys/"+strings.Repeat("0", 64)+".pem"] = w.Store.Objects[k]
				}
			}
		}, verify.CheckKey, "does not match its name", "signing-keys/" + strings.Repeat("0", 64) + ".pem"},
		{"a published key that is not a key", func(_ *testing.T, w *world) {
			w.Store.Put("signing-keys/"+strings.Repeat("1", 64)+".pem", []byte("hello"), lock)
		}, verify.CheckKey, "not a single public key", "signing-keys/" + strings.Repeat("1", 64) + ".pem"},
		{"a package without a manifest", func(_ *testing.T, w *world) {
			w.Store.Put(key(prefix, 9, ".zip"), []byte("x"), lock)
		}, verify.CheckStray, "no manifest mentions it", key(prefix, 9, ".zip")},
		{"a signature without a manifest", func(_ *testing.T, w *world) {
			w.Store.Put(key(prefix, 9, ".json.sig"), []byte("x"), lock)
		}, verify.CheckStray, "no manifest mentions it", key(prefix, 9, ".json.sig")},
		{"an unknown file", func(_ *testing.T, w *world) {
			w.Store.Put("packages/notes.txt", []byte("x"), lock)
		}, verify.CheckStray, "nothing under such a key", "packages/notes.txt"},
		{"an unknown file in quarantine", func(_ *testing.T, w *world) {
			w.Store.Put("quarantine/x.exe", []byte("x"), lock)
		}, verify.CheckStray, "nothing under such a key", "quarantine/x.exe"},
		{"a package that should not exist", func(_ *testing.T, w *world) {
			w.Store.Put(key(prefix, 4, ".zip"), []byte("x"), lock)
		}, verify.CheckObject, "no package was collected", key("not-collected/", 4, ".json")},
		{"the quarantined object is gone", missing(key("quarantine/", 5, ".bin")), verify.CheckQuarantine,
			"is missing", key("not-collected/", 5, ".json")},
		{"the quarantine manifest is gone", missing(key("quarantine/", 5, ".json")), verify.CheckQuarantine,
			"is missing", key("not-collected/", 5, ".json")},
		{"the quarantined object was replaced", func(_ *testing.T, w *world) {
			w.Store.Change(key("quarantine/", 5, ".bin"), []byte("<html>this is no packagE</html>"))
		}, verify.CheckQuarantine, "SHA-256 differs", key("not-collected/", 5, ".json")},
		{"a newer version", func(_ *testing.T, w *world) {
			w.Store.Put(pkg, zipped(t0, "forged"), lock)
		}, verify.CheckVersion, "a newer version lies on top: expected v1, found v2", pkg},
		{"a delete marker", func(_ *testing.T, w *world) {
			w.Store.Objects[pkg] = append(w.Store.Objects[pkg], verifytest.Version{ID: "m1", Deleted: true})
		}, verify.CheckVersion, "a delete marker lies on top", pkg},
		{"a delete marker on the manifest", func(_ *testing.T, w *world) {
			w.Store.Objects[manifest] = append(w.Store.Objects[manifest], verifytest.Version{ID: "m1", Deleted: true})
		}, verify.CheckVersion, "a delete marker lies on top", manifest},
		{"the version is deleted", func(_ *testing.T, w *world) {
			w.Store.Put(pkg, w.Store.Body(pkg), lock)
			w.Store.Objects[pkg] = w.Store.Objects[pkg][1:]
		}, verify.CheckVersion, "the version is deleted: expected v1", pkg},
		{"a manifest written twice", func(_ *testing.T, w *world) {
			w.Store.Put(manifest, w.Store.Body(manifest), lock)
		}, verify.CheckVersion, "written more than once", manifest},
		{"no lock", relock(pkg, investigation.Retention{LegalHold: true}), verify.CheckLock,
			"weaker than it was: expected GOVERNANCE until 2027-01-01T00:00:00Z, legal hold, found no lock", pkg},
		{"a lock that ends earlier", relock(pkg, investigation.Retention{
			Mode: "GOVERNANCE", Until: lock.Until.Add(-time.Second), LegalHold: true,
		}), verify.CheckLock, "ends earlier", pkg},
		{"no legal hold", relock(pkg, investigation.Retention{Mode: "COMPLIANCE", Until: lock.Until}),
			verify.CheckLock, "legal hold is gone", pkg},
		{"no lock on the manifest", relock(manifest, investigation.Retention{}), verify.CheckLock, "weaker", manifest},
		{"no lock on the signature", relock(signature, investigation.Retention{}), verify.CheckLock, "weaker", signature},
		{"no lock on the manifest of a package that never came", relock(key("not-collected/", 4, ".json"),
			investigation.Retention{LegalHold: true}), verify.CheckLock, "weaker", key("not-collected/", 4, ".json")},
		{"the ledger's receipt", func(_ *testing.T, w *world) {
			w.Book.Change(2, func(r *investigation.Record) { r.Receipt.Size++ })
		}, verify.CheckLedger, "the receipt of another object", pkg},
		{"the ledger's digest", func(_ *testing.T, w *world) {
			w.Book.Change(2, func(r *investigation.Record) { r.Seal.Digest = strings.Repeat("0", 64) })
		}, verify.CheckLedger, "the digest of another manifest", pkg},
		{"the ledger's sequence", func(_ *testing.T, w *world) {
			w.Book.Change(2, func(r *investigation.Record) { r.Seal.Sequence = 77 })
		}, verify.CheckLedger, "a different sequence number: expected 77, found 2", pkg},
		{"the ledger's reason", func(_ *testing.T, w *world) {
			w.Book.Change(4, func(r *investigation.Record) { r.Reason = investigation.ReasonTimeOut })
		}, verify.CheckLedger, "a different reason: expected TimeOut, found Failed", key("not-collected/", 4, ".json")},
		{"no record", func(_ *testing.T, w *world) {
			delete(w.Book.Known[tenant], actionID(2))
		}, verify.CheckLedger, "no record of the action", pkg},
		{"a head further on", func(_ *testing.T, w *world) {
			w.Book.Heads[tenant] = investigation.Head{Sequence: 8, Digest: strings.Repeat("0", 64)}
		}, verify.CheckChain, "the ledger's chain is longer", ""},
		{"a head further back", func(_ *testing.T, w *world) {
			w.Book.Heads[tenant] = investigation.Head{Sequence: 6, Digest: strings.Repeat("0", 64)}
		}, verify.CheckChain, "more manifests than the ledger ever sealed", ""},
		{"another head", func(_ *testing.T, w *world) {
			w.Book.Heads[tenant] = investigation.Head{Sequence: 7, Digest: strings.Repeat("0", 64)}
		}, verify.CheckChain, "not the one that the ledger sealed last", ""},
		{"a sequence number twice", func(t *testing.T, w *world) {
			w.Book.Heads[tenant] = investigation.Head{Sequence: 1, Digest: previousOf(t, w, 2)}
			w.Archive(t, tenant, 9, zipped(t, "forged with the true key"))
		}, verify.CheckChain, "the sequence number 2 is used twice", key(prefix, 9, ".json")},
		{"another predecessor", func(t *testing.T, w *world) {
			w.Book.Heads[tenant] = investigation.Head{Sequence: 7, Digest: strings.Repeat("0", 64)}
			w.Archive(t, tenant, 9, zipped(t, "forged with the true key"))
		}, verify.CheckChain, "its predecessor, number 7", key(prefix, 9, ".json")},
		{"the clock went back", func(t *testing.T, w *world) {
			w.Now = w.Now.Add(-10 * time.Minute)
			w.Archive(t, tenant, 9, zipped(t, "sealed before its predecessor"))
		}, verify.CheckClock, "sealed before its predecessor", key(prefix, 9, ".json")},
	}
}

var t0 = &testing.T{}

func zero(key string) func(*testing.T, *world) {
	return func(_ *testing.T, w *world) { w.Store.Change(key, nil) }
}

func swap(suffix string) func(*testing.T, *world) {
	return func(_ *testing.T, w *world) {
		a, b := key(prefix, 2, suffix), key(prefix, 3, suffix)
		one, other := w.Store.Body(a), w.Store.Body(b)
		w.Store.Change(a, other)
		w.Store.Change(b, one)
	}
}

func relock(key string, r investigation.Retention) func(*testing.T, *world) {
	return func(_ *testing.T, w *world) {
		versions := slices.Clone(w.Store.Objects[key])
		versions[0].Lock = r
		w.Store.Objects[key] = versions
	}
}

// foreign extends the chain with a manifest signed by somebody else's key.
func foreign(t *testing.T, w *world) {
	w.Keys = t.TempDir()
	w.OpenKey(t)
	w.Archive(t, tenant, 9, zipped(t, "foreign"))
}

func previousOf(t *testing.T, w *world, n int) string {
	m, err := manifest.Parse(w.Store.Body(key(prefix, n, ".json")))
	if err != nil {
		t.Fatal(err)
	}
	return m.Chain.Previous
}

// TestMismatches checks that each way of tampering is found and named, and everything else still checked.
func TestMismatches(t *testing.T) {
	t.Parallel()
	whole := newWorld(t)
	trust := whole.Trust(t)
	for _, tt := range tamperings() {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := whole.Clone(t)
			tt.tell(t, w)
			sum := runOn(t, w.Store, trust, w.Book, verify.Scope{})
			for _, f := range sum.Findings {
				if f.Check == tt.check && strings.Contains(f.Error(), tt.says) &&
					(tt.key == f.Key) {
					return
				}
			}
			t.Errorf("not found; only %q", sum.Findings)
		})
	}
}

// TestNoMismatches checks that harmless differences are not reported as mismatches.
func TestNoMismatches(t *testing.T) {
	t.Parallel()
	whole := newWorld(t)
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, w *world)
	}{
		{"a clock that is a little behind", func(t *testing.T, w *world) {
			w.Now = w.Now.Add(-5 * time.Minute)
			w.Archive(t, tenant, 9, zipped(t, "x"))
		}},
		{"a lock that is stronger", relock(key(prefix, 2, ".zip"), investigation.Retention{
			Mode: "COMPLIANCE", Until: lock.Until.Add(time.Hour), LegalHold: true,
		})},
		{"a new key", func(t *testing.T, w *world) {
			old := filepath.Join(w.Keys, "signing-key.pem")
			if err := os.Rename(old, filepath.Join(w.Keys, "signing-key-2026.pem")); err != nil {
				t.Fatal(err)
			}
			w.OpenKey(t)
			w.Archive(t, tenant, 9, zipped(t, "x"))
		}},
		{"somebody else's files elsewhere in the bucket", func(_ *testing.T, w *world) {
			w.Store.Put("other/data.json", []byte("{}"), lock)
			w.Store.Put("readme.txt", []byte("x"), lock)
		}},
		{"a package that the ledger does not know yet", func(_ *testing.T, w *world) {
			rec := w.Record(tenant, 9)
			w.Book.Known[tenant][rec.ActionID] = rec
			w.Store.Put(key(prefix, 9, ".zip"), []byte("x"), lock)
		}},
		{"a manifest that is still to be written", func(t *testing.T, w *world) {
			w.Archive(t, tenant, 9, zipped(t, "x"))
			w.Book.Change(9, func(r *investigation.Record) {
				r.State = investigation.StateArchived
				r.Seal.Manifest = string(w.Store.Body(key(prefix, 9, ".json")))
			})
			delete(w.Store.Objects, key(prefix, 9, ".json"))
			delete(w.Store.Objects, key(prefix, 9, ".json.sig"))
		}},
		{"another prefix", func(t *testing.T, w *world) {
			rec := w.Record(tenant, 9)
			k, err := investigation.KeyOf("a/b/", rec.Action)
			if err != nil {
				t.Fatal(err)
			}
			stored := w.StoreObject(t, string(k), zipped(t, "x"), true)
			rec, err = investigation.Archive("worker", investigation.Arrival{At: w.Now, Receipt: stored.Receipt}).Apply(rec)
			if err != nil {
				t.Fatal(err)
			}
			w.Settle(t, rec, stored)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := whole.Clone(t)
			if tt.name == "a new key" {
				w = newWorld(t)
			}
			tt.do(t, w)
			sum := w.Run(t, verify.Scope{})
			if len(sum.Findings) > 0 {
				t.Errorf("found %q", sum.Findings)
			}
		})
	}
}

// TestUnread checks that an object that cannot be read is neither OK nor a mismatch, and not a success.
func TestUnread(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Store.Refuse = errors.New("the network is down")
	sum := w.Run(t, verify.Scope{Key: key(prefix, 2, ".zip")})
	if verifytest.First(sum) == nil || !sum.Findings[0].Unread || sum.Subjects[0].Result(verify.CheckManifest).Verdict ==
		verify.VerdictMismatch {
		t.Errorf("found %q, %+v", sum.Findings, sum.Subjects[0].Results)
	}
}

// TestTwoArchives: two stacks on one ledger share a chain but not a bucket. A manifest in the other bucket
// is not a gap here, and its place in the chain is checked against the ledger.
func TestTwoArchives(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Book.Change(2, func(r *investigation.Record) { r.Seal.Bucket = "the-other" })
	for _, suffix := range []string{".zip", ".json", ".json.sig"} {
		delete(w.Store.Objects, key(prefix, 2, suffix))
	}
	sum := w.Run(t, verify.Scope{TenantID: tenant})
	want := verify.Reach{Length: 7, Whole: true, Ended: true, Elsewhere: 1}
	if len(sum.Findings) != 0 || sum.Tenants[0].Chain != want {
		t.Errorf("got %+v, %q", sum.Tenants[0].Chain, sum.Findings)
	}
	w.Book.Change(2, func(r *investigation.Record) { r.Seal.Digest = strings.Repeat("0", 64) })
	sum = w.Run(t, verify.Scope{TenantID: tenant})
	if len(sum.Findings) != 1 || sum.Findings[0].Check != verify.CheckChain ||
		sum.Findings[0].Key != key(prefix, 3, ".json") {
		t.Errorf("another manifest elsewhere: got %q", sum.Findings)
	}
}
