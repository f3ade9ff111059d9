// Package verifytest builds archives as Packhorse does, in memory or elsewhere, each with its ledger. Tests
// of the code that verifies or opens archives use it.
package verifytest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"packhorse/internal/custody"
	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
)

// The parts of the keys in a World.
const (
	Tenant  = "7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11"
	Tenant2 = "11111111-2222-4333-8444-555555555555"
	Machine = "0123456789abcdef0123456789abcdef01234567"
	Bucket  = "evidence"
	Prefix  = "packages/"
)

// CreatedAt is a minute before the first action.
var CreatedAt = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// World is an archive as Packhorse builds it, and its ledger.
type World struct {
	Store  *Store
	Book   *Book
	Keys   string // the folder of the signing key
	Put    func(key string, body []byte, lock investigation.Retention) (version string)
	Writer *custody.Writer
	Now    time.Time

	local *custody.Local

	unlocked bool
}

// Lock is the lock on every stored object.
var Lock = investigation.Retention{
	Mode: "GOVERNANCE", Until: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), LegalHold: true,
}

// New makes a World in memory. The first tenant has four packages (actions 1 to 3 and 6), one action that
// was not collected (4), and one whose download was not a package (5). The second tenant has one package.
func New(t testing.TB) *World {
	t.Helper()
	store := &Store{Objects: map[string][]Version{}}
	w := NewIn(t, store.Put)
	w.Store = store
	return w
}

// NewIn is like New, but stores objects with put.
func NewIn(t testing.TB, put func(string, []byte, investigation.Retention) string) *World {
	t.Helper()
	w := &World{
		Put: put,
		Book: &Book{Heads: map[string]investigation.Head{},
			Known: map[string]map[string]investigation.Record{}},
		Keys: t.TempDir(), Now: CreatedAt.Add(time.Hour),
	}
	w.OpenKey(t)
	for n := 1; n <= 3; n++ {
		w.Archive(t, Tenant, n, Zipped(t, fmt.Sprintf("package %d", n)))
	}
	w.NotCollected(t, 4, investigation.ReasonFailed, nil)
	w.NotCollected(t, 5, investigation.ReasonInvalid, []byte("<html>this is no package</html>"))
	w.Archive(t, Tenant, 6, Zipped(t, "package 6"))
	w.Archive(t, Tenant2, 1, Zipped(t, "another tenant's"))
	return w
}

// OpenKey opens the signing key, creating it if needed, and publishes it.
func (w *World) OpenKey(t testing.TB) {
	t.Helper()
	var err error
	w.local, err = custody.OpenLocal(w.Keys)
	if err != nil {
		t.Fatal(err)
	}
	w.openWriter()
	err = w.Writer.Publish(t.Context(), func(_ context.Context, key string, pem []byte) (
		investigation.Placed, error,
	) {
		w.Put(key, pem, investigation.Retention{})
		return investigation.Placed{Key: key}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (w *World) openWriter() {
	kept := investigation.Lock{
		Mode: Lock.Mode, For: Lock.Until.Sub(w.Now) - time.Hour, LegalHold: Lock.LegalHold,
	}
	if w.unlocked {
		kept = investigation.Lock{}
	}
	w.Writer = custody.NewWriter(w.local, Bucket, kept, func(context.Context) (manifest.Provenance, error) {
		return manifest.Provenance{Version: "1.2.3", Commit: "abcdef", Principal: "root@station"}, nil
	}, func() time.Time { return w.Now })
}

// Clone returns an independent copy of the world.
func (w *World) Clone(t testing.TB) *World {
	t.Helper()
	c := *w
	c.openWriter() // so that the writer reads the clone's clock
	c.Store, c.Book = w.Store.Clone(), w.Book.Clone()
	c.Put = c.Store.Put
	return &c
}

// CopyTo writes the newest version of every object into a folder.
func (w *World) CopyTo(t testing.TB, dir string) {
	t.Helper()
	for key, versions := range w.Store.Objects {
		path := filepath.Join(dir, filepath.FromSlash(key))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, versions[len(versions)-1].Body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Unlocked returns a world in a bucket without versions and locks.
func Unlocked(t testing.TB) *World {
	t.Helper()
	store := &Store{Objects: map[string][]Version{}, Unversion: true}
	w := &World{
		Put: func(key string, body []byte, _ investigation.Retention) string {
			store.Put(key, body, investigation.Retention{})
			return ""
		},
		Store: store,
		Book: &Book{Heads: map[string]investigation.Head{},
			Known: map[string]map[string]investigation.Record{}},
		Keys: t.TempDir(), Now: CreatedAt.Add(time.Hour), unlocked: true,
	}
	w.OpenKey(t)
	w.Archive(t, Tenant, 1, Zipped(t, "package"))
	return w
}
