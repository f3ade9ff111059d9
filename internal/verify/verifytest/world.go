// Package verifytest makes archives as Packhorse makes them, in memory or elsewhere, with the ledger that
// belongs to each, for tests of what verifies and of what opens archives.
package verifytest

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"packhorse/internal/custody"
	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
	"packhorse/internal/verify"
	"packhorse/internal/zipinspect"
)

// What the keys are made of.
const (
	Tenant  = "7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11"
	Tenant2 = "11111111-2222-4333-8444-555555555555"
	Machine = "0123456789abcdef0123456789abcdef01234567"
	Bucket  = "evidence"
	Prefix  = "packages/"
)

// CreatedAt is a minute before the first action.
var CreatedAt = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// Version is one version of an object in memory.
type Version struct {
	ID      string
	Body    []byte
	Deleted bool
	Lock    investigation.Retention
}

// Store is an archive in memory, with versions; the newest is the last.
type Store struct {
	Objects   map[string][]Version
	Unversion bool
	Refuse    error // what opening answers
}

// About implements verify.Archive.
func (s *Store) About(context.Context) (verify.About, error) {
	return verify.About{Where: "memory", Bucket: Bucket, Versioned: !s.Unversion}, nil
}

// List implements verify.Archive.
func (s *Store) List(_ context.Context, prefix string) ([]verify.Object, error) {
	var objects []verify.Object
	for key, versions := range s.Objects {
		if !strings.HasPrefix(key, prefix) || len(versions) == 0 {
			continue
		}
		o := verify.Object{Key: key}
		sized := false
		for _, v := range slices.Backward(versions) {
			if !v.Deleted && !sized {
				o.Size, sized = int64(len(v.Body)), true
			}
			o.Versions = append(o.Versions, verify.Version{ID: v.ID, Deleted: v.Deleted, Size: int64(len(v.Body))})
		}
		if s.Unversion {
			o.Versions = nil
		}
		objects = append(objects, o)
	}
	slices.SortFunc(objects, func(a, b verify.Object) int { return strings.Compare(a.Key, b.Key) })
	return objects, nil
}

func (s *Store) find(key, id string) (Version, error) {
	for _, v := range slices.Backward(s.Objects[key]) {
		if (id == "" || v.ID == id) && !v.Deleted {
			return v, nil
		}
	}
	return Version{}, fmt.Errorf("no such version")
}

// Open implements verify.Archive.
func (s *Store) Open(_ context.Context, key, id string) (io.ReadCloser, error) {
	if s.Refuse != nil {
		return nil, s.Refuse
	}
	v, err := s.find(key, id)
	return io.NopCloser(bytes.NewReader(v.Body)), err
}

// Retention implements verify.Archive.
func (s *Store) Retention(_ context.Context, key, id string) (investigation.Retention, error) {
	v, err := s.find(key, id)
	return v.Lock, err
}

// Put adds a version, and returns its id.
func (s *Store) Put(key string, body []byte, lock investigation.Retention) string {
	id := fmt.Sprintf("v%d", len(s.Objects[key])+1)
	s.Objects[key] = append(s.Objects[key], Version{ID: id, Body: body, Lock: lock})
	return id
}

// Body returns the present bytes of an object.
func (s *Store) Body(key string) []byte {
	versions := s.Objects[key]
	return versions[len(versions)-1].Body
}

// Change replaces the present bytes, as nobody could who has to do it through S3.
func (s *Store) Change(key string, body []byte) {
	versions := slices.Clone(s.Objects[key])
	versions[len(versions)-1].Body = body
	s.Objects[key] = versions
}

// Clone returns a copy.
func (s *Store) Clone() *Store {
	c := &Store{Objects: map[string][]Version{}, Unversion: s.Unversion, Refuse: s.Refuse}
	for key, versions := range s.Objects {
		c.Objects[key] = slices.Clone(versions)
	}
	return c
}

// Book is a ledger in memory.
type Book struct {
	Heads map[string]investigation.Head
	Known map[string]map[string]investigation.Record
}

// Head implements verify.Ledger.
func (b *Book) Head(_ context.Context, tenant string) (investigation.Head, error) {
	return b.Heads[tenant], nil
}

// Records implements verify.Ledger.
func (b *Book) Records(_ context.Context, tenant string) ([]investigation.Record, error) {
	var all []investigation.Record
	for _, rec := range b.Known[tenant] {
		all = append(all, rec)
	}
	return all, nil
}

// Tenants implements verify.TenantsLedger.
func (b *Book) Tenants(context.Context) ([]string, error) {
	var ids []string
	for id := range b.Known {
		ids = append(ids, id)
	}
	return ids, nil
}

// Clone returns a copy.
func (b *Book) Clone() *Book {
	c := &Book{Heads: map[string]investigation.Head{}, Known: map[string]map[string]investigation.Record{}}
	for id, head := range b.Heads {
		c.Heads[id] = head
	}
	for id, records := range b.Known {
		c.Known[id] = map[string]investigation.Record{}
		for action, rec := range records {
			c.Known[id][action] = rec
		}
	}
	return c
}

// Change edits the record of an action of the first tenant.
func (b *Book) Change(action int, edit func(*investigation.Record)) {
	id := ActionID(action)
	rec := b.Known[Tenant][id]
	edit(&rec)
	b.Known[Tenant][id] = rec
}

// World is an archive as Packhorse makes it, and the ledger that belongs to it.
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

// Lock is on everything that is stored.
var Lock = investigation.Retention{
	Mode: "GOVERNANCE", Until: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), LegalHold: true,
}

// New makes: of the first tenant four packages (actions 1 to 3 and 6), one that was not
// collected (4), and one that was not a package (5); of the second one package.
func New(t testing.TB) *World {
	t.Helper()
	store := &Store{Objects: map[string][]Version{}}
	w := NewIn(t, store.Put)
	w.Store = store
	return w
}

// NewIn is New in another store.
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

// OpenKey opens the signing key, makes one if there is none, and publishes it.
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

// Clone returns a world of its own that is the same so far.
func (w *World) Clone(t testing.TB) *World {
	t.Helper()
	c := *w
	c.openWriter() // its clock is the clone's
	c.Store, c.Book = w.Store.Clone(), w.Book.Clone()
	c.Put = c.Store.Put
	return &c
}

// ActionID is the id of the nth action.
func ActionID(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

// Key names a part of an action's evidence.
func Key(folder string, n int, suffix string) string {
	return folder + Tenant + "/" + Machine + "/" + stamp(n) + "_" + ActionID(n) + suffix
}

func stamp(n int) string {
	return CreatedAt.Add(time.Duration(n) * time.Minute).Format("20060102T150405Z")
}

// Record is that of an action whose package is being fetched.
func (w *World) Record(tenantID string, n int) investigation.Record {
	at := CreatedAt.Add(time.Duration(n) * time.Minute)
	return investigation.Record{
		Action: investigation.Action{
			ID:        investigation.ID{TenantID: tenantID, ActionID: ActionID(n)},
			MachineID: Machine, ComputerDNSName: "fin-ws-17.contoso.com",
			Requestor: "a.lindqvist@contoso.com", RequestorComment: "INC-4711 suspicious PowerShell",
			CaseID: "INC-4711", RequestSource: "Portal", Status: investigation.StatusSucceeded,
			CreatedAt: at, LastUpdatedAt: at.Add(9 * time.Minute),
		},
		State: investigation.StateFetching, Attempts: 1, Owner: "worker",
		ObservedAt: at.Add(10 * time.Minute),
	}
}

func (w *World) exchange(host string) investigation.Exchange {
	return investigation.Exchange{
		AskedAt: w.Now.Add(-3 * time.Second), AnsweredAt: w.Now.Add(-2 * time.Second), Host: host,
		TLSVersion: "TLS 1.3", CertificateSHA256: strings.Repeat("ab", 32), RequestID: "req-1",
		CorrelationID: "cor-1",
	}
}

// StoreObject stores what came for an action, and says what the archive would.
func (w *World) StoreObject(t testing.TB, key string, body []byte, judge bool) investigation.Stored {
	t.Helper()
	i, err := zipinspect.Inspect(bytes.NewReader(body), judge)
	if err != nil {
		t.Fatal(err)
	}
	id := w.Put(key, body, Lock)
	kept := Lock
	if w.unlocked {
		kept = investigation.Retention{}
	}
	return investigation.Stored{
		Receipt: investigation.Receipt{
			Bucket: Bucket, Key: key, VersionID: id, Size: i.Size, SHA256: i.SHA256, CRC32C: i.CRC32C,
			Retention: kept,
		},
		Collection: investigation.Collection{
			Attempt: 1, Link: w.exchange("api.securitycenter.microsoft.com"),
			Download: w.exchange("packages.blob.core.windows.net"),
		},
		Content: i.Content,
	}
}

// Archive stores the package of an action, with its manifest.
func (w *World) Archive(t testing.TB, tenantID string, n int, body []byte) {
	t.Helper()
	rec := w.Record(tenantID, n)
	key, err := investigation.KeyOf(Prefix, rec.Action)
	if err != nil {
		t.Fatal(err)
	}
	stored := w.StoreObject(t, string(key), body, true)
	rec, err = investigation.Archive("worker", investigation.Arrival{At: w.Now, Receipt: stored.Receipt}).Apply(rec)
	if err != nil {
		t.Fatal(err)
	}
	w.Settle(t, rec, stored)
}

// NotCollected stores the manifest of an action of the first tenant that has no package, and what came in
// its place.
func (w *World) NotCollected(t testing.TB, n int, reason investigation.Reason, came []byte) {
	t.Helper()
	rec := w.Record(Tenant, n)
	var stored investigation.Stored
	if came != nil {
		key, err := investigation.QuarantineKeyOf(rec.Action)
		if err != nil {
			t.Fatal(err)
		}
		stored = w.StoreObject(t, string(key), came, false)
	}
	rec, err := investigation.Close("worker", investigation.Closing{
		At: w.Now, Reason: reason, Message: "it was not to be had", Quarantine: stored.Receipt,
	}).Apply(rec)
	if err != nil {
		t.Fatal(err)
	}
	w.Settle(t, rec, stored)
}

// Settle seals a record, writes what has to be written, and calls it done.
func (w *World) Settle(t testing.TB, rec investigation.Record, stored investigation.Stored) {
	t.Helper()
	w.Now = w.Now.Add(time.Minute)
	sealer, err := w.Writer.Sealer(t.Context(), stored)
	if err != nil {
		t.Fatal(err)
	}
	rec, head, err := rec.Sealed(w.Book.Heads[rec.TenantID], sealer)
	if err != nil {
		t.Fatal(err)
	}
	w.Book.Heads[rec.TenantID] = head
	write := func(key, text string) {
		signature, err := w.Writer.Sign(t.Context(), []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		w.Put(key, []byte(text), Lock)
		w.Put(investigation.SignatureKey(key), signature, Lock)
	}
	if rec.QuarantineSeal.Sequence > 0 {
		write(investigation.Key(rec.Quarantine.Key).Manifest(), rec.QuarantineSeal.Manifest)
	}
	write(rec.ManifestKey, rec.Seal.Manifest)
	rec, err = investigation.Announce(investigation.Conclusion{At: w.Now}).Apply(rec)
	if err != nil {
		t.Fatal(err)
	}
	if w.Book.Known[rec.TenantID] == nil {
		w.Book.Known[rec.TenantID] = map[string]investigation.Record{}
	}
	w.Book.Known[rec.TenantID][rec.ActionID] = rec
}

// Zipped is a package.
func Zipped(t testing.TB, text string) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for _, name := range []string{"Autoruns/Autoruns.csv", "Network/ActNetConns.txt", "summary.txt"} {
		f, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(f, "%s of %s", name, strings.Repeat(text, 20))
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// CopyTo writes the present objects into a folder.
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

// Trust is every key that the folder of the signing key has, earlier ones too.
func (w *World) Trust(t testing.TB) verify.Trust {
	t.Helper()
	files, err := custody.LocalKeyFiles(w.Keys)
	if err != nil {
		t.Fatal(err)
	}
	var trust verify.Trust
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		keys, err := custody.ParseLocalKeys(filepath.Base(file), text)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range keys {
			trust.Add(key, file)
		}
	}
	return trust
}

// silent is a Reporter that counts.
type silent struct {
	mu      sync.Mutex
	begun   int
	checked int
	found   int
}

func (s *silent) Begin(int, int64)                                 { s.add(&s.begun) }
func (s *silent) Reading(_ string, _ int64, r io.Reader) io.Reader { return r }
func (s *silent) Checked(verify.Subject)                           { s.add(&s.checked) }
func (s *silent) Found(verify.Finding)                             { s.add(&s.found) }

func (s *silent) add(n *int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*n++
}

// VerifiedAt is the time of every verification.
var VerifiedAt = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

// Run verifies with the ledger, and fails the test if what is reported is not what is returned.
func (w *World) Run(t testing.TB, scope verify.Scope) verify.Summary {
	t.Helper()
	return RunOn(t, w.Store, w.Trust(t), w.Book, scope)
}

// RunOn is Run on any archive.
func RunOn(t testing.TB, a verify.Archive, trust verify.Trust, ledger verify.Ledger,
	scope verify.Scope,
) verify.Summary {
	t.Helper()
	reporter := &silent{}
	sum, err := verify.New(a, trust, ledger, func() time.Time { return VerifiedAt }, reporter).
		Run(t.Context(), scope)
	if err != nil {
		t.Fatal(err)
	}
	if reporter.found != len(sum.Findings) || reporter.checked != len(sum.Subjects) || reporter.begun != 1 {
		t.Errorf("reported: %d findings of %d, %d subjects of %d, begun %d times", reporter.found,
			len(sum.Findings), reporter.checked, len(sum.Subjects), reporter.begun)
	}
	return sum
}

// First returns the root of the first problem, or nil.
func First(sum verify.Summary) error {
	if len(sum.Problems) == 0 {
		return nil
	}
	return sum.Problems[0].Finding
}

// Reseal writes a manifest again, as if it had been sealed so, and signs it.
func (w *World) Reseal(t testing.TB, key string, m manifest.Manifest) {
	t.Helper()
	text := canonical(t, m)
	signature, err := w.Writer.Sign(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	w.Store.Change(key, text)
	w.Store.Change(investigation.SignatureKey(key), signature)
}

// canonical is a manifest's JSON with its names in order, which is all that makes it canonical.
func canonical(t testing.TB, m manifest.Manifest) []byte {
	t.Helper()
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var sorted map[string]any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&sorted); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(sorted); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

// Unlocked is a world in a bucket without versions and locks.
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
