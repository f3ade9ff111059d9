package e2e_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
	"packhorse/internal/memory"
)

// The columns of the table of strangers.
const (
	before = "before"
	amid   = "after this step, as the process dies"
	after  = "after the announcement"

	notPossible = "not possible, the claim is random"
)

// planting is a row of that table: what somebody with write access to the bucket puts where.
type planting struct {
	row      string
	scenario int    // index into scenarios
	step     string // the step for the column amid
	key      func(investigation.Action) string
	metadata func(w *world, target investigation.Action) map[string]string
}

func plantings() []planting {
	none := func(*world, investigation.Action) map[string]string { return nil }
	return []planting{
		{"a package without metadata", 0, "complete", packageKey, none},
		{"a package with the ids of the action", 0, "complete", packageKey, madeUp},
		{"a package with the metadata of another action's", 0, "complete", packageKey, copiedFromAnother},
		{"a package with the metadata of this action's", 0, "complete", packageKey, copied},
		{"a manifest", 0, "ledger archived", manifestKey, none},
		{"a signature", 0, "manifest", signatureKey, none},
		{"a manifest of what was not collected", 1, "ledger sealed", notCollectedKey, none},
		{"something in quarantine", 2, "quarantine", quarantineKey, madeUp},
	}
}

func packageKey(a investigation.Action) string {
	key, err := investigation.KeyOf("packages/", a)
	if err != nil {
		panic(err)
	}
	return string(key)
}

func manifestKey(a investigation.Action) string { return investigation.Key(packageKey(a)).Manifest() }

func signatureKey(a investigation.Action) string { return investigation.SignatureKey(manifestKey(a)) }

func notCollectedKey(a investigation.Action) string {
	key, err := investigation.NotCollectedKeyOf(a)
	if err != nil {
		panic(err)
	}
	return key
}

func quarantineKey(a investigation.Action) string {
	key, err := investigation.QuarantineKeyOf(a)
	if err != nil {
		panic(err)
	}
	return string(key)
}

// madeUp is metadata that can be made without knowing what is in the bucket.
func madeUp(_ *world, a investigation.Action) map[string]string {
	return map[string]string{
		"packhorse-action-id": a.ActionID, "packhorse-machine-id": a.MachineID,
		"packhorse-tenant-id": a.TenantID, "packhorse-claim": "made-up",
		"packhorse-collection": `{"attempt":1,"link":{"host":"forged.example"},"download":{"host":"forged.example"}}`,
	}
}

// copied is the metadata of the target's genuine object.
func copied(w *world, target investigation.Action) map[string]string {
	o, _ := w.bucket.Version(packageKey(target), "v1")
	return o.Metadata
}

// copiedFromAnother is the metadata of another genuine object, with the ids replaced by the
// target's.
func copiedFromAnother(w *world, target investigation.Action) map[string]string {
	for _, other := range w.actions {
		metadata := copied(w, other)
		if other == target || metadata == nil {
			continue
		}
		forged := madeUp(w, target)
		forged["packhorse-claim"], forged["packhorse-collection"] = metadata["packhorse-claim"], metadata["packhorse-collection"]
		return forged
	}
	return nil
}

var plantedBody = []byte("PK\x05\x06" + strings.Repeat("\x00", 18))

// plant puts the row's object under its key.
func (w *world) plant(p planting, target investigation.Action) {
	key := p.key(target)
	id := w.bucket.Plant(key, memory.Object{Body: plantedBody, Metadata: p.metadata(w, target)})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.planted[key] = append(w.planted[key], id)
	w.target = target
}

// plantedAt returns the versions planted under a key.
func (w *world) plantedAt(key string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.planted[key])
}

// named returns the action that a key or an id refers to.
func (w *world) named(subject string) investigation.Action {
	for _, a := range w.actions {
		if strings.Contains(subject, a.ActionID) {
			return a
		}
	}
	panic("no action matches " + subject)
}

// waiting returns the action that must wait for the next minute's budget.
func (w *world) waiting() investigation.Action {
	for _, r := range w.records() {
		if r.State == investigation.StateReady {
			i := slices.IndexFunc(w.actions, func(a investigation.Action) bool { return a.ID == r.ID })
			return w.actions[i]
		}
	}
	panic("no action is waiting")
}

// playPlanted plays one cell.
func playPlanted(t *testing.T, p planting, column string) (got outcome) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		f := &fault{}
		w := newWorld(t, ctx, scenarios()[p.scenario], f)
		last := w.actions[len(w.actions)-1]
		switch {
		case column == amid:
			f.row, f.column = p.step, killed
			f.then = func(subject string) { w.plant(p, w.named(subject)) }
		case column == before && p.scenario == 0: // after there is a genuine object to copy from
			f.row, f.column = "put Archived", undisturbed
			f.then = func(string) { w.plant(p, w.waiting()) }
		case column == before:
			w.plant(p, last)
		}
		w.run()
		if column == after {
			w.plant(p, last)
			time.Sleep(10 * time.Minute)
		}
		cancel()
		w.running.Wait()
		got = w.check(t)
		w.checkNamed(t, p, column)
	})
	return got
}

// checkNamed fails unless the planted object is still there, was not accepted as anything, and is
// named by the ledger, the event and, if it is at the object's key, the manifest.
func (w *world) checkNamed(t *testing.T, p planting, column string) {
	t.Helper()
	key := p.key(w.target)
	if len(w.plantedAt(key)) != 1 {
		t.Fatalf("nothing was planted under %s", key)
	}
	o, ok := w.bucket.Version(key, w.plantedAt(key)[0])
	if !ok || string(o.Body) != string(plantedBody) {
		t.Error("the planted object was replaced")
	}
	i := slices.IndexFunc(w.records(), func(r investigation.Record) bool { return r.ID == w.target.ID })
	rec := w.records()[i]
	sum := sha256.Sum256(plantedBody)
	digest := hex.EncodeToString(sum[:])
	named := slices.ContainsFunc(rec.Strangers.List(), func(s investigation.Stranger) bool {
		return s.Key == key && s.VersionID == w.plantedAt(key)[0] && s.SHA256 == digest && s.Size == 22 && !s.FoundAt.IsZero()
	})
	told := strings.Contains(w.seen.String(), `"strangers":[{"key":"`+key)
	if want := column != after; named != want || told != want {
		t.Errorf("named by the ledger: %t, on the bus or in a manifest: %t, want %t: %s", named, told, want,
			rec.Strangers)
	}
	if strings.Contains(rec.ManifestKey, "~") != (column == before && p.step == "complete" ||
		column != after && (p.step == "ledger archived" || p.step == "ledger sealed")) {
		t.Errorf("the manifest is at %s", rec.ManifestKey)
	}
	m, err := manifest.Parse(w.read(rec.ManifestKey))
	inPlace := column != after && (p.step == "complete" || p.step == "quarantine")
	if err != nil || (len(m.Strangers) == 1) != inPlace || inPlace && m.Strangers[0].SHA256 != digest {
		t.Errorf("the manifest names %+v, %v", m.Strangers, err)
	}
	if strings.Contains(w.seen.String(), "forged.example") {
		t.Error("made-up metadata was believed")
	}
}

// The table of strangers, cell by cell, as read from docs/architecture.md. Write access to the
// bucket is not enough to change what is archived, and any attempt is detected.
func TestStrangers(t *testing.T) {
	table := strangerTable(t)
	if len(table) != len(plantings()) {
		t.Fatalf("the table has %d rows, want %d", len(table), len(plantings()))
	}
	for i, p := range plantings() {
		if table[i][0] != p.row {
			t.Errorf("row %d is %q, want %q", i, table[i][0], p.row)
		}
		for j, column := range []string{before, amid, after} {
			cell := table[i][j+1]
			if cell == notPossible && p.row == "a package with the metadata of this action's" && column == before {
				continue
			}
			t.Run(p.row+"/"+column, func(t *testing.T) {
				got := playPlanted(t, p, column)
				if want := cellOf(t, cell); got != want {
					t.Errorf("got %+v, the table says %+v", got, want)
				}
			})
		}
	}
}

func strangerTable(t *testing.T) [][]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "| planted | "+before+" | "+amid+" | "+after+" |\n|---|---|---|---|\n")
	if !found {
		t.Fatal("docs/architecture.md has no table of strangers")
	}
	return rowsOf(t, table)
}
