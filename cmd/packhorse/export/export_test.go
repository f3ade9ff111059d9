package export_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"packhorse/cmd/packhorse/console"
	"packhorse/cmd/packhorse/export"
	"packhorse/cmd/packhorse/take"
	"packhorse/cmd/packhorse/take/taketest"
	"packhorse/internal/investigation"
	"packhorse/internal/verify"
	"packhorse/internal/verify/verifytest"
)

var at = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// records returns the ledger's records of some tenants.
func records(w *verifytest.World, tenants ...string) []investigation.Record {
	var all []investigation.Record
	for _, tenant := range tenants {
		for _, rec := range w.Book.Known[tenant] {
			all = append(all, rec)
		}
	}
	return all
}

func from(t testing.TB, w *verifytest.World) take.Source {
	t.Helper()
	return taketest.Source(w.Store, w.Trust(t), w.Book)
}

// run exports the first tenant.
func run(t testing.TB, w *verifytest.World, path string, change func(*export.Options)) (export.Result, error) {
	t.Helper()
	o := export.Options{Path: path, At: at, Selected: "case INC-4711", Disk: take.OS{}}
	if change != nil {
		change(&o)
	}
	return export.Run(t.Context(), from(t, w), records(w, verifytest.Tenant), o, console.Quiet{})
}

// tree reads a folder, or a ZIP.
func tree(t testing.TB, path string) map[string][]byte {
	t.Helper()
	files := os.DirFS(path)
	if strings.HasSuffix(path, ".zip") {
		z, err := zip.OpenReader(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = z.Close() })
		files = z
	}
	all := map[string][]byte{}
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		all[name], err = fs.ReadFile(files, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func digest(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

const name = "fin-ws-17.contoso.com_20260304T05%02d07Z_00000000"

// nameOf returns the name of the nth action's files, without folder and ending.
func nameOf(n int) string { return fmt.Sprintf(name, 6+n) }

// TestRun: an export has every package of the tenant with all its papers, as a folder and as a ZIP.
func TestRun(t *testing.T) {
	t.Parallel()
	w := verifytest.New(t)
	folder, zipped := filepath.Join(t.TempDir(), "x"), filepath.Join(t.TempDir(), "X.ZIP.zip")
	got, err := run(t, w, folder, nil)
	if err != nil || got.Summary.Verdict() != verify.Pass || got.Index.Verdict != verify.Pass {
		t.Fatalf("%s, %v", got.Summary.Headline(), err)
	}
	if _, err := run(t, w, zipped, nil); err != nil {
		t.Fatal(err)
	}
	all := tree(t, folder)
	if !reflect.DeepEqual(all, tree(t, zipped)) {
		t.Error("folder and ZIP differ")
	}
	for _, n := range []int{1, 2, 3, 6} {
		for ending, key := range map[string]string{".zip": ".zip", ".json": ".json", ".json.sig": ".json.sig"} {
			if want := w.Store.Body(verifytest.Key(verifytest.Prefix, n, key)); !bytes.Equal(all["packages/"+nameOf(n)+ending], want) {
				t.Errorf("action %d: %s is missing or differs", n, ending)
			}
		}
		if page := all["packages/"+nameOf(n)+".html"]; !bytes.Contains(page, []byte("PASS on 1 June 2026, 12:00:00 UTC")) ||
			!bytes.Contains(page, []byte("packages/"+nameOf(n)+".json.sig")) {
			t.Errorf("action %d: the report is %s", n, page)
		}
	}
	if !bytes.Equal(all["quarantine/"+nameOf(5)+".bin"], w.Store.Body(verifytest.Key(investigation.QuarantineFolder, 5, ".bin"))) ||
		all["quarantine/"+nameOf(5)+".json.sig"] == nil || all["not-collected/"+nameOf(5)+".json"] == nil ||
		all["not-collected/"+nameOf(4)+".json.sig"] == nil {
		t.Error("the records of actions without a package are missing")
	}
	// 4 packages with 4 files, 2 not collected and 1 quarantined with 3, 1 object, the key, and 5 about it all.
	if want := 4*4 + 3*3 + 1 + 1 + 5; len(all) != want || got.Files != want {
		t.Errorf("%d files, says %d, want %d", len(all), got.Files, want)
	}
	var size int64
	for file, body := range all {
		size += int64(len(body))
		if file != "SHA256SUMS" && !strings.Contains(string(all["SHA256SUMS"]), digest(body)+"  "+file+"\n") {
			t.Errorf("SHA256SUMS lacks %s", file)
		}
	}
	if got.Bytes != size || got.SumsSHA256 != digest(all["SHA256SUMS"]) {
		t.Errorf("got %d bytes, SHA256SUMS %s", got.Bytes, got.SumsSHA256)
	}
	if len(lines(all["SHA256SUMS"])) != len(all)-1 {
		t.Errorf("SHA256SUMS: %s", all["SHA256SUMS"])
	}
	leftovers(t, folder)
	leftovers(t, zipped)
}

func lines(text []byte) []string { return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") }

// leftovers fails the test if something lies beside the export.
func leftovers(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if entry.Name() != filepath.Base(path) {
			t.Errorf("%s was left beside it", entry.Name())
		}
	}
}

// TestSame: the same evidence at the same time gives the same bytes, however the ledger orders its records. At
// another time, only what states the time differs.
func TestSame(t *testing.T) {
	t.Parallel()
	w := verifytest.New(t)
	dir := t.TempDir()
	var all [][]byte
	for i := range 4 { // maps give the records in random order
		path := filepath.Join(dir, fmt.Sprint(i)+".zip")
		if _, err := run(t, w, path, nil); err != nil {
			t.Fatal(err)
		}
		body, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, body)
		if !bytes.Equal(body, all[0]) {
			t.Errorf("export %d differs", i)
		}
	}
	later := filepath.Join(dir, "later")
	if _, err := run(t, w, later, func(o *export.Options) { o.At = at.Add(time.Hour) }); err != nil {
		t.Fatal(err)
	}
	before, after := tree(t, filepath.Join(dir, "0.zip")), tree(t, later)
	for file, body := range after {
		states := strings.HasSuffix(file, ".html") || file == "index.json" || file == "SHA256SUMS"
		if bytes.Equal(body, before[file]) == states {
			t.Errorf("%s: states the time: %t", file, states)
		}
	}
}

// TestIndex: index.json has every fact, and index.csv the same in rows.
func TestIndex(t *testing.T) {
	t.Parallel()
	w := verifytest.New(t)
	path := filepath.Join(t.TempDir(), "x")
	if _, err := run(t, w, path, nil); err != nil {
		t.Fatal(err)
	}
	all := tree(t, path)
	var index export.Index
	if err := json.Unmarshal(all["index.json"], &index); err != nil {
		t.Fatal(err)
	}
	if index.Version != "1" || !index.ExportedAt.Equal(at) || index.Selected != "case INC-4711" || len(index.Packages) != 7 ||
		!slices.Equal(index.Tenants, []string{verifytest.Tenant}) || len(index.Keys) != 1 || index.Keys[0].NotTrusted {
		t.Errorf("got %+v", index)
	}
	rows, err := csv.NewReader(bytes.NewReader(all["index.csv"])).ReadAll()
	if err != nil || len(rows) != 8 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for i, p := range index.Packages {
		rec := w.Book.Known[verifytest.Tenant][p.ActionID]
		if p.Host != rec.ComputerDNSName || p.Case != rec.CaseID || p.Verdict != verify.Pass || p.Failed || len(p.Checks) < 6 ||
			all[p.Files.Manifest] == nil || digest(all[p.Files.Manifest]) != p.ManifestSHA256 || all[p.Files.Report] == nil {
			t.Errorf("got %+v", p)
		}
		if p.Files.Object != "" && (digest(all[p.Files.Object]) != p.SHA256 || int64(len(all[p.Files.Object])) != p.Size || p.Key == "") {
			t.Errorf("%s: other bytes than %+v", p.Files.Object, p)
		}
		if row := rows[i+1]; row[1] != p.Host || row[10] != p.SHA256 || row[11] != p.Files.Object || row[17] != p.ActionID {
			t.Errorf("row %d: %q", i+1, row)
		}
		if !bytes.Contains(all["index.html"], []byte(`href="`+p.Files.Manifest+`"`)) {
			t.Errorf("index.html lacks %s", p.Files.Manifest)
		}
	}
}

// TestFailed: a package that does not verify prevents the export, unless it may be in a folder of its own.
func TestFailed(t *testing.T) {
	t.Parallel()
	world := verifytest.New(t)
	for what, spoil := range map[string]func(w *verifytest.World){
		"a byte of the package": func(w *verifytest.World) {
			body := bytes.Clone(w.Store.Body(verifytest.Key(verifytest.Prefix, 2, ".zip")))
			body[len(body)/2] ^= 1
			w.Store.Change(verifytest.Key(verifytest.Prefix, 2, ".zip"), body)
		},
		"no package":   func(w *verifytest.World) { delete(w.Store.Objects, verifytest.Key(verifytest.Prefix, 2, ".zip")) },
		"no signature": func(w *verifytest.World) { delete(w.Store.Objects, verifytest.Key(verifytest.Prefix, 2, ".json.sig")) },
		"no record":    func(w *verifytest.World) { delete(w.Store.Objects, verifytest.Key(verifytest.Prefix, 2, ".json")) },
		"a bad record": func(w *verifytest.World) { w.Store.Change(verifytest.Key(verifytest.Prefix, 2, ".json"), []byte("{}")) },
		"nothing at all": func(w *verifytest.World) {
			for _, ending := range []string{".zip", ".json", ".json.sig"} {
				delete(w.Store.Objects, verifytest.Key(verifytest.Prefix, 2, ending))
			}
		},
		"the ledger disagrees": func(w *verifytest.World) {
			w.Book.Change(2, func(rec *investigation.Record) { rec.Receipt.SHA256 = strings.Repeat("0", 64) })
		},
		"the ledger has another case": func(w *verifytest.World) {
			w.Book.Change(2, func(rec *investigation.Record) { rec.CaseID = "INC-1" })
		},
	} {
		for _, ending := range []string{"", ".zip"} {
			w := world.Clone(t)
			spoil(w)
			path := filepath.Join(t.TempDir(), "x"+ending)
			_, err := run(t, w, path, nil)
			refused, ok := errors.AsType[*export.RefusedError](err)
			if !ok || len(refused.Failures) != 1 || refused.Failures[0].Record.ActionID != verifytest.ActionID(2) ||
				!strings.Contains(err.Error(), verifytest.ActionID(2)) || !strings.Contains(refused.Advice(), "--include-failed") {
				t.Errorf("%s%s: %v", what, ending, err)
			}
			if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) > 0 {
				t.Errorf("%s%s: refused, and %v is there", what, ending, entries)
			}

			got, err := run(t, w, path, func(o *export.Options) { o.IncludeFailed = true })
			if err != nil || got.Index.Failed() != 1 || what != "the ledger has another case" && got.Summary.Verdict() != verify.Fail {
				t.Errorf("%s%s, included: %v, %d failed, %s", what, ending, err, got.Index.Failed(), got.Summary.Verdict())
				continue
			}
			all := tree(t, path)
			for file, body := range all {
				if strings.HasPrefix(file, "packages/") && strings.Contains(file, nameOf(2)) {
					t.Errorf("%s%s, included: %s is among the packages", what, ending, file)
				}
				if file != "SHA256SUMS" && !strings.Contains(string(all["SHA256SUMS"]), digest(body)+"  "+file+"\n") {
					t.Errorf("%s%s, included: SHA256SUMS has another sum of %s", what, ending, file)
				}
			}
			if all["packages/"+nameOf(1)+".zip"] == nil || all["packages/"+nameOf(3)+".zip"] == nil {
				t.Errorf("%s%s, included: the others are missing", what, ending)
			}
			if ending != "" {
				continue
			}
			if out := check(t, path, fingerprints(got)...); out.code != 0 {
				t.Errorf("%s%s, included: exit %d: %s", what, ending, out.code, out.text)
			}
		}
	}
}

// TestTenants: packages of several tenants are exported only if each tenant is named.
func TestTenants(t *testing.T) {
	t.Parallel()
	w := verifytest.New(t)
	one, both := records(w, verifytest.Tenant), records(w, verifytest.Tenant, verifytest.Tenant2)
	for _, c := range []struct {
		records []investigation.Record
		named   []string
		refused bool
	}{
		{nil, nil, false}, {one, nil, false}, {one, []string{verifytest.Tenant}, false}, {both, nil, true},
		{both, []string{verifytest.Tenant}, true}, {both, []string{verifytest.Tenant2}, true},
		{both, []string{verifytest.Tenant2, verifytest.Tenant}, false}, {one, []string{verifytest.Tenant2}, true},
	} {
		err := export.CheckTenants(c.records, c.named, map[string]string{verifytest.Tenant: "Contoso Ltd"})
		tenants, ok := errors.AsType[*export.TenantsError](err)
		if ok != c.refused || !ok && err != nil {
			t.Errorf("%d records, named %q: %v", len(c.records), c.named, err)
		}
		if ok && len(c.records) == len(both) && (len(tenants.Tenants) != 2 ||
			!strings.HasSuffix(tenants.Advice(), ": --tenant "+verifytest.Tenant2+" --tenant 'Contoso Ltd'") ||
			!strings.Contains(err.Error(), fmt.Sprintf("%s  %d packages  Contoso Ltd", verifytest.Tenant, len(one)))) {
			t.Errorf("%v, advice %q", err, tenants.Advice())
		}
	}
}

// TestApart: an export for several tenants keeps each in folders of its own, names them on top, and CHECK.txt checks it
// as it checks others.
func TestApart(t *testing.T) {
	t.Parallel()
	w := verifytest.New(t)
	for _, ending := range []string{"", ".zip"} {
		path := filepath.Join(t.TempDir(), "x"+ending)
		got, err := export.Run(t.Context(), from(t, w), records(w, verifytest.Tenant, verifytest.Tenant2), export.Options{
			Path: path, At: at, Selected: "case INC-4711", Tenants: map[string]string{verifytest.Tenant: "Cont<oso"}, Disk: take.OS{},
		}, console.Quiet{})
		if err != nil {
			t.Fatal(err)
		}
		all := tree(t, path)
		seen := map[string]int{}
		for name := range all {
			folder, file, _ := strings.Cut(name, "/")
			id, file, inside := strings.Cut(file, "/")
			if folder == "signing-keys" || !strings.Contains(name, "/") {
				continue
			}
			if !inside || id != verifytest.Tenant && id != verifytest.Tenant2 {
				t.Errorf("%s is in no tenant's folder", name)
			}
			seen[id]++
			if text := all[name]; strings.HasSuffix(file, ".json") && !bytes.Contains(text, []byte(`"tenantId":"`+id+`"`)) {
				t.Errorf("%s is of another tenant: %s", name, text)
			}
		}
		if len(seen) != 2 {
			t.Errorf("got %v", seen)
		}
		if page := string(all["index.html"]); !strings.Contains(page, "Cont&lt;oso <code>"+verifytest.Tenant+"</code>.</p>") {
			t.Errorf("index.html: %.2000s", page)
		}
		if got.Index.TenantNames[verifytest.Tenant] != "Cont<oso" || len(got.Index.Tenants) != 2 {
			t.Errorf("got %+v", got.Index)
		}
		told := fingerprints(got)
		if out := check(t, path, told...); out.code != 0 || strings.Count(out.text, ": Verified OK") != strings.Count(out.text, ".json: Verified OK") ||
			strings.Count(out.text, ".json: Verified OK") != len(got.Index.Packages) {
			t.Errorf("x%s: exit %d: %s", ending, out.code, out.text)
		}
		if ending == "" { // nothing can be added unnoticed
			planted := filepath.Join(path, "packages", verifytest.Tenant2, "planted.zip")
			if err := os.WriteFile(planted, []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
			if out := check(t, path, told...); out.code != 1 || !strings.Contains(out.text, "planted.zip is not in SHA256SUMS") {
				t.Errorf("planted: exit %d: %s", out.code, out.text)
			}
		}
	}
}

// TestNeverOverwrites: whatever has the name stays. An empty folder may be filled.
func TestNeverOverwrites(t *testing.T) {
	t.Parallel()
	w := verifytest.New(t)
	for what, put := range map[string]func(path string) error{
		"a file": func(path string) error { return os.WriteFile(path, []byte("mine"), 0o600) },
		"a folder": func(path string) error {
			return errors.Join(os.Mkdir(path, 0o700), os.WriteFile(filepath.Join(path, "mine"), nil, 0o600))
		},
		"a link": func(path string) error { return os.Symlink("nowhere", path) },
	} {
		for _, ending := range []string{"", ".zip"} {
			path := filepath.Join(t.TempDir(), "x"+ending)
			if err := put(path); err != nil {
				t.Fatal(err)
			}
			before, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = run(t, w, path, nil)
			if exists, ok := errors.AsType[*take.ExistsError](err); !ok || exists.Path != path {
				t.Errorf("%s%s: %v", what, ending, err)
			}
			if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) || before.Size() != after.Size() {
				t.Errorf("%s%s: %v", what, ending, err)
			}
			leftovers(t, path)
		}
	}
	path := filepath.Join(t.TempDir(), "empty")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t, w, path, nil); err != nil || len(tree(t, path)) == 0 {
		t.Errorf("an empty folder: %v", err)
	}
}

// TestAppearsMeanwhile: something gets the name while the export is made. It stays.
func TestAppearsMeanwhile(t *testing.T) {
	t.Parallel()
	w := verifytest.New(t)
	for _, ending := range []string{"", ".zip"} {
		path := filepath.Join(t.TempDir(), "x"+ending)
		disk := &taketest.Disk{Before: func(n int) {
			if n != 10 {
				return
			}
			if ending == "" {
				_ = os.Mkdir(path, 0o700)
				_ = os.WriteFile(filepath.Join(path, "mine"), []byte("mine"), 0o600)
			} else {
				_ = os.WriteFile(path, []byte("mine"), 0o600)
			}
		}}
		_, err := run(t, w, path, func(o *export.Options) { o.Disk = disk })
		if _, ok := errors.AsType[*take.ExistsError](err); !ok {
			t.Errorf("x%s: %v", ending, err)
		}
		mine := path
		if ending == "" {
			mine = filepath.Join(path, "mine")
		}
		if body, err := os.ReadFile(mine); err != nil || string(body) != "mine" {
			t.Errorf("x%s: now %q, %v", ending, body, err)
		}
		leftovers(t, path)
	}
}

// TestFullDisk: whichever effect fails, nothing appears and nothing stays, and the error says what to do.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	w := verifytest.New(t)
	some := records(w, verifytest.Tenant)
	slices.SortFunc(some, investigation.ByCreation)
	some = some[3:5] // without a package, and with something in quarantine
	for _, ending := range []string{"", ".zip"} {
		try := func(ctx context.Context, path string, disk *taketest.Disk) error {
			o := export.Options{Path: path, At: at, Disk: disk}
			_, err := export.Run(ctx, from(t, w), some, o, console.Quiet{})
			return err
		}
		probe := &taketest.Disk{}
		if err := try(t.Context(), filepath.Join(t.TempDir(), "x"+ending), probe); err != nil || probe.Effects() < 20 {
			t.Fatalf("%d effects: %v", probe.Effects(), err)
		}
		for n := 1; n <= probe.Effects(); n++ {
			path := filepath.Join(t.TempDir(), "x"+ending)
			disk := &taketest.Disk{FailAt: n}
			err := try(t.Context(), path, disk)
			failed, ok := errors.AsType[*take.DiskError](err)
			if !ok || !errors.Is(err, syscall.ENOSPC) || !strings.Contains(failed.Advice(), "disk is full") {
				t.Errorf("%s: %v", disk.Failed(), err)
			}
			leftovers(t, path)
			if _, err := os.Lstat(path); err == nil && n < probe.Effects() { // the last syncs the name of what is whole
				t.Errorf("%s: it is there", disk.Failed())
			}

			ctx, cancel := context.WithCancel(t.Context())
			path = filepath.Join(t.TempDir(), "x"+ending)
			err = try(ctx, path, &taketest.Disk{Before: func(at int) {
				if at == n {
					cancel()
				}
			}})
			cancel()
			if _, there := os.Lstat(path); (err == nil) != (there == nil) {
				t.Errorf("x%s, interrupted at effect %d: %v, and the export: %v", ending, n, err, there)
			}
			leftovers(t, path)
		}
	}
}

// counted is an archive that counts what is read of packages.
type counted struct {
	verify.Archive

	mu     sync.Mutex
	opened map[string]int
}

func (c *counted) Open(ctx context.Context, key, version string) (io.ReadCloser, error) {
	c.mu.Lock()
	c.opened[key]++
	c.mu.Unlock()
	return c.Archive.Open(ctx, key, version)
}

// TestReadsOnce: each package is read once.
func TestReadsOnce(t *testing.T) {
	t.Parallel()
	w := verifytest.New(t)
	archive := &counted{Archive: w.Store, opened: map[string]int{}}
	through := taketest.Source(archive, w.Trust(t), w.Book)
	_, err := export.Run(t.Context(), through, records(w, verifytest.Tenant),
		export.Options{Path: filepath.Join(t.TempDir(), "x.zip"), At: at, Disk: take.OS{}}, console.Quiet{})
	if err != nil {
		t.Fatal(err)
	}
	for key, n := range archive.opened {
		if strings.HasSuffix(key, ".zip") && n != 1 {
			t.Errorf("%s was read %d times", key, n)
		}
	}
	if n := archive.opened[verifytest.Key(verifytest.Prefix, 1, ".zip")]; n != 1 {
		t.Errorf("the first package was read %d times", n)
	}
}

// TestPending: what is not stored yet is listed, and left out.
func TestPending(t *testing.T) {
	t.Parallel()
	w := verifytest.New(t)
	waiting := w.Record(verifytest.Tenant, 9)
	some := append(records(w, verifytest.Tenant), waiting)
	path := filepath.Join(t.TempDir(), "x")
	got, err := export.Run(t.Context(), from(t, w), some, export.Options{Path: path, At: at, Disk: take.OS{}}, console.Quiet{})
	if err != nil || len(got.Index.Pending) != 1 || got.Index.Pending[0].ActionID != waiting.ActionID || len(got.Index.Packages) != 7 {
		t.Errorf("%+v, %v", got.Index.Pending, err)
	}
	if page := tree(t, path)["index.html"]; !bytes.Contains(page, []byte("Selected, but not stored yet")) ||
		!bytes.Contains(page, []byte(waiting.ActionID)) {
		t.Error("index.html does not name it")
	}
	var table bytes.Buffer
	if err := got.Table(&table, path); err != nil || !strings.Contains(table.String(), "1 not stored yet, and left out") {
		t.Errorf("%v: %s", err, &table)
	}
}

// hostile names try to leave the folder, to run something, to pass for something else, or to break a table.
var hostile = []string{
	"../../../../etc/cron.d/x", "-rf", "$(touch x)", "`touch x`", "a b\nc\td", "\x1b[2J\u202e", "=HYPERLINK(\"http://x\")",
	"<script>alert(1)</script>", "con", "NUL.zip", strings.Repeat("long", 200), "", "'; touch x; '", "a|b", "漢字.contoso.com",
}

// archiveAs stores the package of an action of a host with this name.
func archiveAs(t testing.TB, w *verifytest.World, n int, host string) {
	t.Helper()
	rec := w.Record(verifytest.Tenant, n)
	rec.ComputerDNSName, rec.RequestorComment, rec.Requestor = host, host+" INC-4711", host
	key, err := investigation.KeyOf(verifytest.Prefix, rec.Action)
	if err != nil {
		t.Fatal(err)
	}
	stored := w.StoreObject(t, string(key), verifytest.Zipped(t, host), true)
	rec, err = investigation.Archive("worker", investigation.Arrival{At: w.Now, Receipt: stored.Receipt}).Apply(rec)
	if err != nil {
		t.Fatal(err)
	}
	w.Settle(t, rec, stored)
}

// TestHostile: names from outside do nothing but look odd, and the check runs as ever.
func TestHostile(t *testing.T) {
	t.Parallel()
	w := verifytest.New(t)
	for i, host := range hostile {
		archiveAs(t, w, 10+i, host)
	}
	for _, ending := range []string{"", ".zip"} {
		path := filepath.Join(t.TempDir(), "x"+ending)
		got, err := run(t, w, path, nil)
		if err != nil || len(got.Index.Packages) != 7+len(hostile) {
			t.Fatalf("%d packages: %v", len(got.Index.Packages), err)
		}
		leftovers(t, path)
		all := tree(t, path)
		for file, body := range all {
			if strings.Trim(file, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-") != "" || strings.Contains(file, "..") {
				t.Errorf("the name %q", file)
			}
			if strings.HasSuffix(file, ".html") && (bytes.Contains(body, []byte("<script")) || bytes.ContainsAny(body, "\x1b\u202e")) {
				t.Errorf("%s has what a host name says", file)
			}
		}
		if bytes.ContainsAny(all["index.json"], "\x1b\u202e") || bytes.ContainsAny(all["index.csv"], "\x1b\u202e") ||
			bytes.Contains(all["index.csv"], []byte(",\"=HYPER")) || bytes.Contains(all["index.csv"], []byte(",-rf")) {
			t.Errorf("index.csv or index.json: %s", all["index.csv"])
		}
		var table bytes.Buffer
		if err := got.Table(&table, path); err != nil || strings.ContainsAny(table.String(), "\x1b\u202e") {
			t.Errorf("%v: %q", err, &table)
		}
		if out := check(t, path, fingerprints(got)...); out.code != 0 {
			t.Errorf("exit %d: %s", out.code, out.text)
		}
	}
}
