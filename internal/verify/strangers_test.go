package verify_test

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
	"packhorse/internal/verify"
)

// moved moves an object to another key, as if the first key had been occupied when it was stored.
func moved(w *world, from, to string) {
	w.Store.Objects[to] = w.Store.Objects[from]
	delete(w.Store.Objects, from)
}

// resealed stores a package of action 9 with object, manifest and signature in the given places. The
// manifest names the strangers.
func resealed(t *testing.T, w *world, object, manifest, signature int) {
	t.Helper()
	rec := w.Record(tenant, 9)
	k, err := investigation.KeyOf(prefix, rec.Action)
	if err != nil {
		t.Fatal(err)
	}
	stored := w.StoreObject(t, investigation.Place(string(k), object), zipped(t, "the real one"), true)
	rec, err = investigation.Archive("worker", investigation.Arrival{At: w.Now, Receipt: stored.Receipt}).Apply(rec)
	if err != nil {
		t.Fatal(err)
	}
	w.Settle(t, rec, stored)
	was := investigation.Key(stored.Receipt.Key).Manifest()
	at := investigation.Place(k.Manifest(), manifest)
	if was != at {
		moved(w, was, at)
	}
	if sig := investigation.Place(at+".sig", signature); was+".sig" != sig {
		moved(w, was+".sig", sig)
	}
	w.Book.Change(9, func(r *investigation.Record) { r.ManifestKey = at })
}

// planted is somebody else's file in the archive, and the expected finding.
type planted struct {
	name string
	key  string
	body string
}

// TestStrangers checks that a planted file under any of an action's keys is found and named. It is not
// trusted, and it does not cast doubt on the record beside it.
func TestStrangers(t *testing.T) {
	t.Parallel()
	whole := newWorld(t)
	trust := whole.Trust(t)
	pkg, manifest := key(prefix, 9, ".zip"), key(prefix, 9, ".json")
	forged := string(whole.Store.Body(key(prefix, 2, ".json")))
	for _, tt := range []struct {
		name                        string
		object, manifest, signature int // the places of our own files
		planted                     []planted
	}{
		{"a package before ours", 1, 1, 0, []planted{{"", pkg, "PK planted"}}},
		{"a package in the second place too", 2, 2, 0, []planted{{"", pkg, "x"}, {"", key(prefix, 9, "~1.zip"), "y"}}},
		{"a package after ours", 0, 0, 0, []planted{{"", key(prefix, 9, "~1.zip"), "PK planted"}}},
		{"a manifest before ours", 0, 1, 0, []planted{{"", manifest, "{}"}}},
		{"a manifest of another package", 0, 1, 0, []planted{{"", manifest, forged}}},
		{"a huge manifest", 0, 1, 0, []planted{{"", manifest, strings.Repeat(" ", 2<<20)}}},
		{"a manifest after ours", 0, 0, 0, []planted{{"", key(prefix, 9, "~3.json"), forged}}},
		{"a signature before ours", 0, 0, 1, []planted{{"", manifest + ".sig", "not one"}}},
		{"a signature after ours", 0, 0, 0, []planted{{"", manifest + "~1.sig", "not one"}}},
		{"everything", 3, 4, 2, []planted{{"", pkg, "a"}, {"", manifest, "b"}, {"", manifest + ".sig", "c"},
			{"", key(prefix, 9, "~4.json.sig"), "d"}, {"", key(prefix, 9, "~4.json~1.sig"), "e"}}},
		{"a record that it never came", 0, 0, 0, []planted{{"", key("not-collected/", 9, ".json"), forged},
			{"", key("not-collected/", 9, ".json.sig"), "f"}}},
		{"something in quarantine", 0, 0, 0, []planted{{"", key("quarantine/", 9, ".bin"), "g"},
			{"", key("quarantine/", 9, ".json"), "h"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := whole.Clone(t)
			resealed(t, w, tt.object, tt.manifest, tt.signature)
			for _, p := range tt.planted {
				w.Store.Put(p.key, []byte(p.body), investigation.Retention{})
			}
			sum := runOn(t, w.Store, trust, w.Book, verify.Scope{})
			if sum.Verdict() != verify.Pass {
				t.Errorf("%s: %q", sum.Verdict(), sum.Problems)
			}
			checkNamed(t, sum, tt.planted)
			// The key that everybody would guess leads to the true record.
			sum = runOn(t, w.Store, trust, w.Book, verify.Scope{Key: pkg})
			s := sum.Subjects[0]
			if want := key(prefix, 9, investigation.Place(".zip", tt.object)); sum.Verdict() != verify.Pass ||
				len(sum.Subjects) != 1 || s.Key != want || s.Manifest.Object.SHA256 == "" {
				t.Errorf("by its key: %s, %d subjects, %s; %q", sum.Verdict(), len(sum.Subjects), s.Key, sum.Problems)
			}
			// The same without a ledger.
			sum = runOn(t, w.Store, trust, nil, verify.Scope{})
			if len(sum.Problems) > 0 {
				t.Errorf("without a ledger: %q", sum.Problems)
			}
			checkNamed(t, sum, tt.planted)
		})
	}
}

func checkNamed(t *testing.T, sum verify.Summary, all []planted) {
	t.Helper()
	if len(sum.Strangers) != len(all) {
		t.Errorf("%d strangers, want %d: %q", len(sum.Strangers), len(all), sum.Strangers)
	}
	for _, p := range all {
		digest := sha256.Sum256([]byte(p.body))
		found := false
		for _, f := range sum.Strangers {
			found = found || f.Key == p.key && f.Kind == verify.KindStranger && f.Host == "fin-ws-17.contoso.com" &&
				f.Case == "INC-4711" && f.Stranger.Size == int64(len(p.body)) &&
				f.Stranger.SHA256 == hex.EncodeToString(digest[:]) && f.Stranger.VersionID == "v1"
		}
		if !found {
			t.Errorf("%s is not named: %+v", p.key, sum.Strangers)
		}
	}
}

// TestStrangersThatContradict: a stranger is a mismatch if it takes the place that the record names for the
// evidence, or if the true record is missing.
func TestStrangersThatContradict(t *testing.T) {
	t.Parallel()
	whole := newWorld(t)
	trust := whole.Trust(t)
	pkg, manifest := key(prefix, 2, ".zip"), key(prefix, 2, ".json")
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, w *world)
		says string
		size int64 // of the stranger, where one is named
	}{
		{"on top of the package", func(_ *testing.T, w *world) {
			w.Store.Put(pkg, []byte("planted"), lock)
		}, "a newer version lies on top: expected v1, found v2, 7 bytes, SHA-256 ", 7},
		{"on top of the manifest", func(_ *testing.T, w *world) {
			w.Store.Put(manifest, []byte("{}"), lock)
		}, "it was written more than once", 2},
		{"on top of the signature", func(_ *testing.T, w *world) {
			w.Store.Put(manifest+".sig", []byte("abc"), lock)
		}, "it was written more than once", 3},
		{"the true bytes are gone", func(_ *testing.T, w *world) {
			w.Store.Put(key(prefix, 2, "~1.zip"), []byte("planted"), lock)
			delete(w.Store.Objects, pkg)
		}, "the object is missing", 0},
		{"the true manifest is gone", func(_ *testing.T, w *world) {
			w.Store.Put(key(prefix, 2, "~1.json"), []byte("{}"), lock)
			delete(w.Store.Objects, manifest)
		}, "not in the archive", 0},
		{"the true manifest is changed, and another lies beside it", func(_ *testing.T, w *world) {
			w.Store.Put(key("not-collected/", 2, ".json"), []byte("{}"), lock)
			w.Store.Change(manifest, []byte("{}"))
		}, "not a valid manifest", 0},
		{"the quarantine's manifest is changed, though the outcome is true", func(_ *testing.T, w *world) {
			w.Store.Change(key("quarantine/", 5, ".json"), []byte("{}"))
		}, "not a valid manifest", 0},
		{"a package that no manifest ever mentioned", func(_ *testing.T, w *world) {
			w.Store.Put(key(prefix, 9, ".zip"), []byte("planted"), lock)
		}, "no manifest mentions it", 7},
		{"on top of the published key", func(_ *testing.T, w *world) {
			for k := range w.Store.Objects {
				if strings.HasPrefix(k, "signing-keys/") {
					w.Store.Put(k, []byte("planted"), lock)
				}
			}
		}, "not a single public key", 7},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := whole.Clone(t)
			tt.do(t, w)
			sum := runOn(t, w.Store, trust, w.Book, verify.Scope{})
			if sum.Verdict() != verify.Fail {
				t.Errorf("the verdict is %s", sum.Verdict())
			}
			for _, f := range sum.Findings {
				if strings.Contains(f.Error(), tt.says) && f.Kind == "" &&
					(tt.size == 0 || f.Stranger != nil && f.Stranger.Size == tt.size) {
					return
				}
			}
			t.Errorf("not found; only %q", sum.Findings)
		})
	}
}

// TestHiddenRecord checks that the true manifest, signature and object are read under newer versions.
func TestHiddenRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, suffix := range []string{".zip", ".json", ".json.sig"} {
		w.Store.Put(key(prefix, 2, suffix), []byte("planted"), lock)
	}
	sum := w.Run(t, verify.Scope{Key: key(prefix, 2, ".zip")})
	s := sum.Subjects[0]
	for _, check := range []verify.Check{verify.CheckManifest, verify.CheckSignature, verify.CheckObject,
		verify.CheckLock, verify.CheckLedger} {
		if r := s.Result(check); r.Verdict != verify.VerdictOK {
			t.Errorf("%+v", r)
		}
	}
	if sum.Verdict() != verify.Fail || s.Result(verify.CheckVersion).Verdict != verify.VerdictMismatch {
		t.Errorf("%s: %q", sum.Verdict(), sum.Findings)
	}
}

// TestKnownStrangers checks that strangers named by the manifest or the ledger are told apart from those
// that came later.
func TestKnownStrangers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	resealed(t, w, 1, 1, 0)
	w.Store.Put(key(prefix, 9, ".zip"), []byte("planted"), lock)
	w.Store.Put(key(prefix, 9, "~7.zip"), []byte("planted later"), lock)
	w.Book.Change(9, func(r *investigation.Record) {
		r.Strangers = r.Strangers.Add(investigation.Stranger{
			Key: key(prefix, 9, ".zip"), VersionID: "v1", Size: 7, FoundAt: w.Now,
		})
	})
	known := map[string]bool{}
	for _, f := range w.Run(t, verify.Scope{}).Strangers {
		known[f.Key] = f.Stranger.Known
	}
	if len(known) != 2 || !known[key(prefix, 9, ".zip")] || known[key(prefix, 9, "~7.zip")] {
		t.Errorf("known: %v", known)
	}
}

// TestStrangeKeys checks that a public key is recognized in any place, and that a file that only has its
// name is a stranger beside it.
func TestStrangeKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var published string
	for k := range w.Store.Objects {
		if strings.HasPrefix(k, "signing-keys/") {
			published = k
		}
	}
	moved(w, published, investigation.Place(published, 2))
	w.Store.Put(published, []byte("hello"), lock)
	sum := w.Run(t, verify.Scope{})
	if sum.Verdict() != verify.Pass || len(sum.Strangers) != 1 || sum.Strangers[0].Key != published ||
		sum.Strangers[0].Stranger.Size != 5 {
		t.Errorf("%s: %+v", sum.Verdict(), sum.Findings)
	}
	trust, findings, err := verify.TrustArchive(t.Context(), w.Store)
	if err != nil || len(trust.IDs()) != 1 || len(findings) != 1 {
		t.Errorf("the archive's keys: %v, %v, %v", trust.IDs(), findings, err)
	}
	w.Store.Put(investigation.Place(published, 2), []byte("hidden"), lock)
	trust, findings, err = verify.TrustArchive(t.Context(), w.Store)
	if err != nil || len(trust.IDs()) != 1 || len(findings) != 2 {
		t.Errorf("under another version: %v, %v, %v", trust.IDs(), findings, err)
	}
}

// TestStrangerOfNothing: the manifest of an action without a package names the stranger in its place.
func TestStrangerOfNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := key(prefix, 4, ".zip")
	id := w.Store.Put(at, []byte("planted"), lock)
	sum := w.Run(t, verify.Scope{})
	if sum.Verdict() != verify.Fail {
		t.Errorf("nobody named it: %s", sum.Verdict())
	}
	manifestKey := key("not-collected/", 4, ".json")
	m, err := manifest.Parse(w.Store.Body(manifestKey))
	if err != nil {
		t.Fatal(err)
	}
	m.Strangers = []manifest.Stranger{{Key: at, VersionID: id, Size: 7, FoundAt: time.Unix(0, 0).UTC()}}
	w.Reseal(t, manifestKey, m)
	sum = w.Run(t, verify.Scope{Key: manifestKey})
	if sum.Subjects[0].Result(verify.CheckObject).Verdict != verify.VerdictOK {
		t.Errorf("the manifest names it: %q", sum.Findings)
	}
}
