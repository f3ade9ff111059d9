package verify_test

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

	"packhorse/cmd/packhorse/verify"
	"packhorse/internal/custody"
	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
	"packhorse/internal/zipinspect"
)

const (
	tenant  = "7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11"
	tenant2 = "11111111-2222-4333-8444-555555555555"
	machine = "0123456789abcdef0123456789abcdef01234567"
	bucket  = "evidence"
	prefix  = "packages/"
)

var createdAt = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// version is one version of an object in memory.
type version struct {
	id      string
	body    []byte
	deleted bool
	lock    investigation.Retention
}

// store is an archive in memory, with versions; the newest is the last.
type store struct {
	objects   map[string][]version
	unversion bool
	refuse    error // what opening answers
}

func (s *store) About(context.Context) (verify.About, error) {
	return verify.About{Where: "memory", Bucket: bucket, Versioned: !s.unversion}, nil
}

func (s *store) List(_ context.Context, prefix string) ([]verify.Object, error) {
	var objects []verify.Object
	for key, versions := range s.objects {
		if !strings.HasPrefix(key, prefix) || len(versions) == 0 {
			continue
		}
		o := verify.Object{Key: key}
		sized := false
		for _, v := range slices.Backward(versions) {
			if !v.deleted && !sized {
				o.Size, sized = int64(len(v.body)), true
			}
			o.Versions = append(o.Versions, verify.Version{ID: v.id, Deleted: v.deleted, Size: int64(len(v.body))})
		}
		if s.unversion {
			o.Versions = nil
		}
		objects = append(objects, o)
	}
	slices.SortFunc(objects, func(a, b verify.Object) int { return strings.Compare(a.Key, b.Key) })
	return objects, nil
}

func (s *store) find(key, id string) (version, error) {
	for _, v := range slices.Backward(s.objects[key]) {
		if (id == "" || v.id == id) && !v.deleted {
			return v, nil
		}
	}
	return version{}, fmt.Errorf("no such version")
}

func (s *store) Open(_ context.Context, key, id string) (io.ReadCloser, error) {
	if s.refuse != nil {
		return nil, s.refuse
	}
	v, err := s.find(key, id)
	return io.NopCloser(bytes.NewReader(v.body)), err
}

func (s *store) Retention(_ context.Context, key, id string) (investigation.Retention, error) {
	v, err := s.find(key, id)
	return v.lock, err
}

func (s *store) put(key string, body []byte, lock investigation.Retention) string {
	id := fmt.Sprintf("v%d", len(s.objects[key])+1)
	s.objects[key] = append(s.objects[key], version{id: id, body: body, lock: lock})
	return id
}

// body returns the present bytes of an object.
func (s *store) body(key string) []byte {
	versions := s.objects[key]
	return versions[len(versions)-1].body
}

// change replaces the present bytes, as nobody could who has to do it through S3.
func (s *store) change(key string, body []byte) {
	versions := slices.Clone(s.objects[key])
	versions[len(versions)-1].body = body
	s.objects[key] = versions
}

func (s *store) clone() *store {
	c := &store{objects: map[string][]version{}, unversion: s.unversion, refuse: s.refuse}
	for key, versions := range s.objects {
		c.objects[key] = slices.Clone(versions)
	}
	return c
}

// book is a ledger in memory.
type book struct {
	heads   map[string]investigation.Head
	records map[string]map[string]investigation.Record
}

func (b *book) Head(_ context.Context, tenant string) (investigation.Head, error) {
	return b.heads[tenant], nil
}

func (b *book) Records(_ context.Context, tenant string) ([]investigation.Record, error) {
	var all []investigation.Record
	for _, rec := range b.records[tenant] {
		all = append(all, rec)
	}
	return all, nil
}

func (b *book) Tenants(context.Context) ([]string, error) {
	var ids []string
	for id := range b.records {
		ids = append(ids, id)
	}
	return ids, nil
}

func (b *book) clone() *book {
	c := &book{heads: map[string]investigation.Head{}, records: map[string]map[string]investigation.Record{}}
	for id, head := range b.heads {
		c.heads[id] = head
	}
	for id, records := range b.records {
		c.records[id] = map[string]investigation.Record{}
		for action, rec := range records {
			c.records[id][action] = rec
		}
	}
	return c
}

// change edits the record of an action of the first tenant.
func (b *book) change(action int, edit func(*investigation.Record)) {
	id := actionID(action)
	rec := b.records[tenant][id]
	edit(&rec)
	b.records[tenant][id] = rec
}

// world is an archive as Packhorse makes it, and the ledger that belongs to it.
type world struct {
	store  *store
	book   *book
	keys   string // the folder of the signing key
	put    func(key string, body []byte, lock investigation.Retention) (version string)
	local  *custody.Local
	writer *custody.Writer
	now    time.Time

	unlocked bool
}

var lock = investigation.Retention{
	Mode: "GOVERNANCE", Until: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), LegalHold: true,
}

// newWorld makes: of the first tenant four packages (actions 1 to 3 and 6), one that was not
// collected (4), and one that was not a package (5); of the second one package.
func newWorld(t testing.TB) *world {
	t.Helper()
	store := &store{objects: map[string][]version{}}
	w := newWorldIn(t, store.put)
	w.store = store
	return w
}

// newWorldIn is newWorld in another store.
func newWorldIn(t testing.TB, put func(string, []byte, investigation.Retention) string) *world {
	t.Helper()
	w := &world{
		put: put,
		book: &book{heads: map[string]investigation.Head{},
			records: map[string]map[string]investigation.Record{}},
		keys: t.TempDir(), now: createdAt.Add(time.Hour),
	}
	w.openKey(t)
	for n := 1; n <= 3; n++ {
		w.archive(t, tenant, n, zipped(t, fmt.Sprintf("package %d", n)))
	}
	w.notCollected(t, 4, investigation.ReasonFailed, nil)
	w.notCollected(t, 5, investigation.ReasonInvalid, []byte("<html>this is no package</html>"))
	w.archive(t, tenant, 6, zipped(t, "package 6"))
	w.archive(t, tenant2, 1, zipped(t, "another tenant's"))
	return w
}

func (w *world) openKey(t testing.TB) {
	t.Helper()
	var err error
	w.local, err = custody.OpenLocal(w.keys)
	if err != nil {
		t.Fatal(err)
	}
	w.openWriter()
	err = w.writer.Publish(t.Context(), func(_ context.Context, key string, pem []byte) (
		investigation.Placed, error,
	) {
		w.put(key, pem, investigation.Retention{})
		return investigation.Placed{Key: key}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) openWriter() {
	kept := investigation.Lock{
		Mode: lock.Mode, For: lock.Until.Sub(w.now) - time.Hour, LegalHold: lock.LegalHold,
	}
	if w.unlocked {
		kept = investigation.Lock{}
	}
	w.writer = custody.NewWriter(w.local, bucket, kept, func(context.Context) (manifest.Provenance, error) {
		return manifest.Provenance{Version: "1.2.3", Commit: "abcdef", Principal: "root@station"}, nil
	}, func() time.Time { return w.now })
}

func (w *world) clone(t testing.TB) *world {
	t.Helper()
	c := *w
	c.openWriter() // its clock is the clone's
	c.store, c.book = w.store.clone(), w.book.clone()
	c.put = c.store.put
	return &c
}

func actionID(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

// key names a part of an action's evidence.
func key(folder string, n int, suffix string) string {
	return folder + tenant + "/" + machine + "/" + stamp(n) + "_" + actionID(n) + suffix
}

func stamp(n int) string {
	return createdAt.Add(time.Duration(n) * time.Minute).Format("20060102T150405Z")
}

func (w *world) record(tenantID string, n int) investigation.Record {
	at := createdAt.Add(time.Duration(n) * time.Minute)
	return investigation.Record{
		Action: investigation.Action{
			ID:        investigation.ID{TenantID: tenantID, ActionID: actionID(n)},
			MachineID: machine, ComputerDNSName: "fin-ws-17.contoso.com",
			Requestor: "a.lindqvist@contoso.com", RequestorComment: "INC-4711 suspicious PowerShell",
			CaseID: "INC-4711", RequestSource: "Portal", Status: investigation.StatusSucceeded,
			CreatedAt: at, LastUpdatedAt: at.Add(9 * time.Minute),
		},
		State: investigation.StateFetching, Attempts: 1, Owner: "worker",
		ObservedAt: at.Add(10 * time.Minute),
	}
}

func (w *world) exchange(host string) investigation.Exchange {
	return investigation.Exchange{
		AskedAt: w.now.Add(-3 * time.Second), AnsweredAt: w.now.Add(-2 * time.Second), Host: host,
		TLSVersion: "TLS 1.3", CertificateSHA256: strings.Repeat("ab", 32), RequestID: "req-1",
		CorrelationID: "cor-1",
	}
}

func (w *world) storeObject(t testing.TB, key string, body []byte, judge bool) investigation.Stored {
	t.Helper()
	i, err := zipinspect.Inspect(bytes.NewReader(body), judge)
	if err != nil {
		t.Fatal(err)
	}
	id := w.put(key, body, lock)
	kept := lock
	if w.unlocked {
		kept = investigation.Retention{}
	}
	return investigation.Stored{
		Receipt: investigation.Receipt{
			Bucket: bucket, Key: key, VersionID: id, Size: i.Size, SHA256: i.SHA256, CRC32C: i.CRC32C,
			Retention: kept,
		},
		Collection: investigation.Collection{
			Attempt: 1, Link: w.exchange("api.securitycenter.microsoft.com"),
			Download: w.exchange("packages.blob.core.windows.net"),
		},
		Content: i.Content,
	}
}

func (w *world) archive(t testing.TB, tenantID string, n int, body []byte) {
	t.Helper()
	rec := w.record(tenantID, n)
	key, err := investigation.KeyOf(prefix, rec.Action)
	if err != nil {
		t.Fatal(err)
	}
	stored := w.storeObject(t, string(key), body, true)
	rec, err = investigation.Archive("worker", investigation.Arrival{At: w.now, Receipt: stored.Receipt}).Apply(rec)
	if err != nil {
		t.Fatal(err)
	}
	w.settle(t, rec, stored)
}

func (w *world) notCollected(t testing.TB, n int, reason investigation.Reason, came []byte) {
	t.Helper()
	rec := w.record(tenant, n)
	var stored investigation.Stored
	if came != nil {
		key, err := investigation.QuarantineKeyOf(rec.Action)
		if err != nil {
			t.Fatal(err)
		}
		stored = w.storeObject(t, string(key), came, false)
	}
	rec, err := investigation.Close("worker", investigation.Closing{
		At: w.now, Reason: reason, Message: "it was not to be had", Quarantine: stored.Receipt,
	}).Apply(rec)
	if err != nil {
		t.Fatal(err)
	}
	w.settle(t, rec, stored)
}

// settle seals a record, writes what has to be written, and calls it done.
func (w *world) settle(t testing.TB, rec investigation.Record, stored investigation.Stored) {
	t.Helper()
	w.now = w.now.Add(time.Minute)
	sealer, err := w.writer.Sealer(t.Context(), stored)
	if err != nil {
		t.Fatal(err)
	}
	rec, head, err := rec.Sealed(w.book.heads[rec.TenantID], sealer)
	if err != nil {
		t.Fatal(err)
	}
	w.book.heads[rec.TenantID] = head
	write := func(key, text string) {
		signature, err := w.writer.Sign(t.Context(), []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		w.put(key, []byte(text), lock)
		w.put(investigation.SignatureKey(key), signature, lock)
	}
	if rec.QuarantineSeal.Sequence > 0 {
		write(investigation.Key(rec.Quarantine.Key).Manifest(), rec.QuarantineSeal.Manifest)
	}
	write(rec.ManifestKey, rec.Seal.Manifest)
	rec, err = investigation.Announce(investigation.Conclusion{At: w.now}).Apply(rec)
	if err != nil {
		t.Fatal(err)
	}
	if w.book.records[rec.TenantID] == nil {
		w.book.records[rec.TenantID] = map[string]investigation.Record{}
	}
	w.book.records[rec.TenantID][rec.ActionID] = rec
}

func zipped(t testing.TB, text string) []byte {
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

// copyTo writes the present objects into a folder.
func (w *world) copyTo(t testing.TB, dir string) {
	t.Helper()
	for key, versions := range w.store.objects {
		path := filepath.Join(dir, filepath.FromSlash(key))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, versions[len(versions)-1].body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func (w *world) trust(t testing.TB) verify.Trust {
	t.Helper()
	trust, _, err := verify.TrustData(w.keys)
	if err != nil {
		t.Fatal(err)
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

var verifiedAt = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

// run verifies with the ledger, and fails the test if what is reported is not what is returned.
func (w *world) run(t testing.TB, scope verify.Scope) verify.Summary {
	t.Helper()
	return runOn(t, w.store, w.trust(t), w.book, scope)
}

func runOn(t testing.TB, a verify.Archive, trust verify.Trust, ledger verify.Ledger,
	scope verify.Scope,
) verify.Summary {
	t.Helper()
	reporter := &silent{}
	sum, err := verify.New(a, trust, ledger, func() time.Time { return verifiedAt }, reporter).
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

// first returns the root of the first problem, or nil.
func first(sum verify.Summary) error {
	if len(sum.Problems) == 0 {
		return nil
	}
	return sum.Problems[0].Finding
}

// reseal writes a manifest again, as if it had been sealed so, and signs it.
func (w *world) reseal(t testing.TB, key string, m manifest.Manifest) {
	t.Helper()
	text := canonical(t, m)
	signature, err := w.writer.Sign(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	w.store.change(key, text)
	w.store.change(investigation.SignatureKey(key), signature)
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

// unlocked is a world in a bucket without versions and locks.
func unlocked(t testing.TB) *world {
	t.Helper()
	store := &store{objects: map[string][]version{}, unversion: true}
	w := &world{
		put: func(key string, body []byte, _ investigation.Retention) string {
			store.put(key, body, investigation.Retention{})
			return ""
		},
		store: store,
		book: &book{heads: map[string]investigation.Head{},
			records: map[string]map[string]investigation.Record{}},
		keys: t.TempDir(), now: createdAt.Add(time.Hour), unlocked: true,
	}
	w.openKey(t)
	w.archive(t, tenant, 1, zipped(t, "package"))
	return w
}
