package e2e_test

import (
	"fmt"
	"path"
	"reflect"
	"slices"
	"testing"

	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
	"packhorse/internal/strictschema"
)

// checkEvidence fails unless the bucket contains exactly the expected manifests of every action,
// signed, in one unbroken chain that ends at the ledger's head. Each manifest must also state what
// the bucket knows about its object, no matter how many processes the action took.
func (w *world) checkEvidence(t *testing.T) {
	t.Helper()
	key, err := w.signer.Current(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	schema, err := strictschema.Load("../../docs/custody/manifest.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	bySequence := map[int64]manifest.Manifest{}
	heads := map[int64]investigation.Head{}
	for _, name := range w.ours(".json") {
		text := w.read(name)
		m, err := manifest.Parse(text)
		if err == nil {
			err = strictschema.Check(schema, text)
		}
		if err == nil {
			signature, _ := w.signatureOf(name)
			err = key.Verify(text, signature)
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if want, err := m.Key(); err != nil || !w.isPlaceOf(want, name) {
			t.Errorf("%s is at the key of %s, %v", name, want, err)
		}
		if _, twice := bySequence[m.Chain.Sequence]; twice {
			t.Errorf("%s repeats sequence number %d", name, m.Chain.Sequence)
		}
		bySequence[m.Chain.Sequence], heads[m.Chain.Sequence] = m, m.Head(text)
		w.checkManifest(t, m)
	}
	if signatures := len(w.ours(".sig")); len(bySequence) != w.plan.records || signatures != w.plan.records {
		t.Errorf("got %d manifests and %d signatures, want %d", len(bySequence), signatures, w.plan.records)
	}
	var head investigation.Head
	for n := int64(1); n <= int64(len(bySequence)); n++ {
		if got := bySequence[n].Chain; got.Sequence != n || got.Previous != head.Digest {
			t.Errorf("the chain breaks at %d: %+v after %+v", n, got, head)
		}
		head = heads[n]
	}
	if got, err := w.ledger.Head(t.Context(), w.config.TenantID); err != nil || got != head {
		t.Errorf("the ledger's head is %+v, the chain's %+v, %v", got, head, err)
	}
}

// checkManifest compares a manifest with the metadata written when the object was committed, which
// predates any crash.
func (w *world) checkManifest(t *testing.T, m manifest.Manifest) {
	t.Helper()
	i := slices.IndexFunc(w.records(), func(r investigation.Record) bool { return r.ActionID == m.Action.ID })
	rec := w.records()[i]
	if m.Object == nil {
		if m.NotCollected.Reason != w.plan.reason || (m.NotCollected.Quarantine != nil) != (w.plan.objects > 0) ||
			rec.ManifestKey == "" {
			t.Errorf("action %s: %+v", rec.ActionID, m.NotCollected)
		}
		return
	}
	found, err := w.archive(&proc{w: w}).Look(w.t.Context(), rec, investigation.Key(firstPlace(m.Object.Key)), false)
	if err != nil || found.Stored == nil {
		t.Fatalf("look for %s: %+v, %v", m.Object.Key, found, err)
	}
	was := *found.Stored
	if m.Object.SHA256 != was.Receipt.SHA256 || m.Object.Size != was.Receipt.Size ||
		m.Object.VersionID != was.Receipt.VersionID || m.Object.Key != was.Receipt.Key {
		t.Errorf("the manifest has the object %+v, the bucket %+v", *m.Object, was.Receipt)
	}
	link, download := exchange(m.Collection.Link), exchange(m.Collection.Download)
	got := investigation.Collection{Attempt: m.Collection.Attempts, Link: link, Download: download}
	if !reflect.DeepEqual(got, was.Collection) || link.Host == "" || download.Host == "" {
		t.Errorf("the manifest has the collection\n%+v, the object\n%+v", got, was.Collection)
	}
	if got, want := len(m.Collection.Earlier), was.Collection.Attempt-1; w.fault.row == "" && got != want {
		t.Errorf("attempt %d lists %d earlier ones: %+v", was.Collection.Attempt, got, m.Collection.Earlier)
	}
	if (m.Content != nil) != (w.plan.reason == "") {
		t.Errorf("the content of %s: %+v", m.Object.Key, m.Content)
	}
}

func exchange(e *manifest.Exchange) investigation.Exchange {
	if e == nil {
		return investigation.Exchange{}
	}
	return investigation.Exchange(*e)
}

// ours lists the keys with that ending that hold something Packhorse wrote.
func (w *world) ours(ending string) []string {
	keys := w.bucket.Keys()
	return slices.DeleteFunc(keys, func(key string) bool {
		return path.Ext(key) != ending || w.bucket.Versions(key) == len(w.plantedAt(key))
	})
}

// read returns the only version under a key that Packhorse wrote.
func (w *world) read(key string) []byte {
	for n := range w.bucket.Versions(key) {
		id := fmt.Sprintf("v%d", n+1)
		if o, ok := w.bucket.Version(key, id); ok && !slices.Contains(w.plantedAt(key), id) {
			return o.Body
		}
	}
	return nil
}

// signatureOf returns the signature that Packhorse stored next to a manifest.
func (w *world) signatureOf(manifestKey string) ([]byte, bool) {
	for _, key := range w.ours(".sig") {
		if w.isPlaceOf(investigation.SignatureKey(manifestKey), key) {
			return w.read(key), true
		}
	}
	return nil, false
}

// isPlaceOf reports whether candidate is one of the places for key. A later place counts only if
// somebody else occupies the one before it.
func (w *world) isPlaceOf(key, candidate string) bool {
	n, ok := investigation.PlaceOf(firstPlace(key), candidate)
	return ok && (n == 0 || len(w.plantedAt(investigation.Place(firstPlace(key), n-1))) > 0 || key == candidate)
}

func firstPlace(key string) string {
	if base, _, ok := investigation.BaseOf(key); ok {
		return base
	}
	return key
}
