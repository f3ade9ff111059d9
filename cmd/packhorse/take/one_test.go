package take_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"packhorse/cmd/packhorse/console"
	"packhorse/cmd/packhorse/take"
	"packhorse/cmd/packhorse/take/taketest"
	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
	"packhorse/internal/verify"
	"packhorse/internal/verify/verifytest"
)

// source returns the world with its ledger and keys.
func source(t *testing.T, w *verifytest.World) take.Source {
	t.Helper()
	return taketest.Source(w.Store, w.Trust(t), w.Book)
}

func one(t *testing.T, from take.Source, key, dir string) (take.Result, error) {
	t.Helper()
	return take.One(t.Context(), from, key, take.Folder{Disk: take.OS{}, Path: dir}, console.Quiet{})
}

// files reads a folder.
func files(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for _, entry := range entries {
		body, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[entry.Name()] = body
	}
	return all
}

const name1 = "fin-ws-17.contoso.com_20260304T050707Z_00000000"

func packageKey(n int) string { return verifytest.Key(verifytest.Prefix, n, ".zip") }

func TestOne(t *testing.T) {
	t.Parallel()
	w := verifytest.New(t)
	dir := filepath.Join(t.TempDir(), "new", "folder")
	got, err := one(t, source(t, w), packageKey(1), dir)
	if err != nil || got.Summary.Verdict() != verify.Pass || len(got.Files) != 4 {
		t.Fatalf("got %+v, %v", got, err)
	}
	all := files(t, dir)
	if len(all) != 4 || !bytes.Equal(all[name1+".zip"], w.Store.Body(packageKey(1))) ||
		!bytes.Equal(all[name1+".json"], w.Store.Body(verifytest.Key(verifytest.Prefix, 1, ".json"))) ||
		!bytes.Equal(all[name1+".json.sig"], w.Store.Body(verifytest.Key(verifytest.Prefix, 1, ".json.sig"))) {
		t.Errorf("files: %q", names(all))
	}
	for name, body := range all {
		at := slices.IndexFunc(got.Files, func(f take.Taken) bool { return f.Name == name })
		sum := sha256.Sum256(body)
		if at < 0 || got.Files[at].SHA256 != hex.EncodeToString(sum[:]) || got.Files[at].Size != int64(len(body)) {
			t.Errorf("%s is not described: %+v", name, got.Files)
		}
		if id, ok := strings.CutSuffix(name, ".pem"); ok {
			keys, err := manifest.ParseKeys(body)
			if err != nil || keys[0].ID != id {
				t.Errorf("%s: %v, %v", name, keys, err)
			}
		}
	}

	// Again: nothing changes, and the result says so.
	got, err = one(t, source(t, w), packageKey(1), dir)
	if err != nil || slices.ContainsFunc(got.Files, func(f take.Taken) bool { return !f.Already }) {
		t.Errorf("again: %+v, %v", got.Files, err)
	}
}

func names(all map[string][]byte) []string {
	var some []string
	for name := range all {
		some = append(some, name)
	}
	slices.Sort(some)
	return some
}

// TestNotCollected: an action without a package has its signed record, and what came instead.
func TestNotCollected(t *testing.T) {
	t.Parallel()
	w := verifytest.New(t)
	for n, endings := range map[int][]string{4: {".json", ".json.sig", ".pem"}, 5: {".bin", ".json", ".json.sig", ".pem"}} {
		dir := t.TempDir()
		got, err := one(t, source(t, w), verifytest.Key(investigation.NotCollectedFolder, n, ".json"), dir)
		if err != nil || got.Summary.Verdict() != verify.Pass {
			t.Fatalf("action %d: %+v, %v", n, got, err)
		}
		for _, ending := range endings {
			if !slices.ContainsFunc(names(files(t, dir)), func(name string) bool { return strings.HasSuffix(name, ending) }) {
				t.Errorf("action %d: %s is missing in %q", n, ending, names(files(t, dir)))
			}
		}
		var table bytes.Buffer
		if err := got.Table(&table, dir); err != nil || !strings.Contains(table.String(), "Package  none: ") {
			t.Errorf("action %d: %v, %s", n, err, &table)
		}
	}
}

// TestExactVersion: a newer version lies on top of the package. Nothing is copied, because something is wrong;
// without versions to compare, what is copied is what was verified.
func TestExactVersion(t *testing.T) {
	t.Parallel()
	w := verifytest.New(t)
	w.Put(packageKey(1), verifytest.Zipped(t, "somebody else's"), investigation.Retention{})
	dir := t.TempDir()
	got, err := one(t, source(t, w), packageKey(1), dir)
	if err != nil || got.Summary.Verdict() != verify.Fail || len(got.Files) != 0 || len(files(t, dir)) != 0 {
		t.Errorf("got %+v, %v, files %q", got.Summary.Problems, err, names(files(t, dir)))
	}
	at := slices.IndexFunc(got.Items, func(i take.Item) bool { return i.Manifest.Object != nil })
	if !got.Items[at].Verified() || got.Items[at].Object.Size != got.Items[at].Manifest.Object.Size {
		t.Errorf("it did not copy the version that the manifest names: %+v", got.Items[at].Object)
	}
}

// TestNothingWrongIsCopied: whatever is wrong, no file appears.
func TestNothingWrongIsCopied(t *testing.T) {
	t.Parallel()
	world := verifytest.New(t)
	manifestKey, signatureKey := verifytest.Key(verifytest.Prefix, 1, ".json"), verifytest.Key(verifytest.Prefix, 1, ".json.sig")
	for what, spoil := range map[string]func(w *verifytest.World){
		"a byte of the package": func(w *verifytest.World) {
			body := bytes.Clone(w.Store.Body(packageKey(1)))
			body[len(body)/2] ^= 1
			w.Store.Change(packageKey(1), body)
		},
		"a shorter package": func(w *verifytest.World) {
			w.Store.Change(packageKey(1), w.Store.Body(packageKey(1))[:100])
		},
		"another package": func(w *verifytest.World) { w.Store.Change(packageKey(1), w.Store.Body(packageKey(2))) },
		"no package":      func(w *verifytest.World) { delete(w.Store.Objects, packageKey(1)) },
		"a byte of the record": func(w *verifytest.World) {
			w.Store.Change(manifestKey, bytes.Replace(w.Store.Body(manifestKey), []byte("INC-4711"), []byte("INC-4712"), 1))
		},
		"no record": func(w *verifytest.World) { delete(w.Store.Objects, manifestKey) },
		"another's record": func(w *verifytest.World) {
			w.Store.Change(manifestKey, w.Store.Body(verifytest.Key(verifytest.Prefix, 2, ".json")))
			w.Store.Change(signatureKey, w.Store.Body(verifytest.Key(verifytest.Prefix, 2, ".json.sig")))
		},
		"another signature": func(w *verifytest.World) {
			w.Store.Change(signatureKey, w.Store.Body(verifytest.Key(verifytest.Prefix, 2, ".json.sig")))
		},
		"no signature": func(w *verifytest.World) { delete(w.Store.Objects, signatureKey) },
		"the ledger disagrees": func(w *verifytest.World) {
			w.Book.Change(1, func(rec *investigation.Record) { rec.Receipt.SHA256 = strings.Repeat("0", 64) })
		},
		"nothing can be read": func(w *verifytest.World) { w.Store.Refuse = errors.New("access denied") },
	} {
		w := world.Clone(t)
		spoil(w)
		dir := t.TempDir()
		got, err := one(t, source(t, w), packageKey(1), dir)
		if err != nil || len(got.Files) > 0 || len(files(t, dir)) > 0 {
			t.Errorf("%s: %+v, %v, files %q", what, got.Files, err, names(files(t, dir)))
		}
		if v := got.Summary.Verdict(); v == verify.Pass {
			t.Errorf("%s: the verdict is %s", what, v)
		}
	}
	stranger := verifytest.New(t) // signed with another key
	dir := t.TempDir()
	from := taketest.Source(world.Store, stranger.Trust(t), nil)
	if got, err := one(t, from, packageKey(1), dir); err != nil || len(got.Files) > 0 || len(files(t, dir)) > 0 {
		t.Errorf("a foreign key: %+v, %v", got.Files, err)
	}
}

// TestPartial: an archive without ledger, versions or a key of one's own is copied, and the verdict says what
// that is worth. A check that is required and cannot be made prevents it.
func TestPartial(t *testing.T) {
	t.Parallel()
	w := verifytest.New(t)
	w.Store.Unversion = true
	trust, _, err := verify.TrustArchive(t.Context(), w.Store)
	if err != nil {
		t.Fatal(err)
	}
	from := taketest.Source(w.Store, trust, nil)
	dir := t.TempDir()
	got, err := one(t, from, packageKey(1), dir)
	if err != nil || got.Summary.Verdict() != verify.Partial || !got.Summary.KeyNotTrusted() || len(files(t, dir)) != 4 {
		t.Errorf("got %s, %v, files %q", got.Summary.Verdict(), err, names(files(t, dir)))
	}
	var line bytes.Buffer
	if err := got.JSON(&line, dir, verifytest.VerifiedAt); err != nil || !strings.Contains(line.String(), `"keyNotTrusted":true,"verdict":"PARTIAL"`) {
		t.Errorf("%v: %s", err, &line)
	}
	from.Require = []verify.Check{verify.CheckLedger}
	dir = t.TempDir()
	if got, err := one(t, from, packageKey(1), dir); err != nil || len(got.Files) > 0 || len(files(t, dir)) > 0 {
		t.Errorf("a required check: %+v, %v", got.Files, err)
	}
}

// TestNeverOverwrites: whatever has the name stays, and nothing else is published either.
func TestNeverOverwrites(t *testing.T) {
	t.Parallel()
	w := verifytest.New(t)
	for _, ending := range []string{".zip", ".json", ".json.sig"} {
		for what, put := range map[string]func(path string) error{
			"a file":        func(path string) error { return os.WriteFile(path, []byte("mine"), 0o600) },
			"an empty file": func(path string) error { return os.WriteFile(path, nil, 0o600) },
			"a folder":      func(path string) error { return os.Mkdir(path, 0o700) },
			"a link":        func(path string) error { return os.Symlink("/dev/null", path) },
		} {
			dir := t.TempDir()
			path := filepath.Join(dir, name1+ending)
			if err := put(path); err != nil {
				t.Fatal(err)
			}
			before, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = one(t, source(t, w), packageKey(1), dir)
			exists, ok := errors.AsType[*take.ExistsError](err)
			if !ok || exists.Path != path || exists.Advice() == "" {
				t.Errorf("%s%s: %v", what, ending, err)
			}
			after, err := os.Lstat(path)
			entries, _ := os.ReadDir(dir)
			if err != nil || !os.SameFile(before, after) || after.Size() != before.Size() || len(entries) != 1 {
				t.Errorf("%s%s: %v, now %v, beside %v", what, ending, err, after, entries)
			}
		}
	}
}

// TestFullDisk: whichever effect fails, no package appears, no draft stays, and the error says what to do. Then
// the same call succeeds.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	w := verifytest.New(t)
	probe := &taketest.Disk{}
	_, err := take.One(t.Context(), source(t, w), packageKey(1), take.Folder{Disk: probe, Path: t.TempDir()}, console.Quiet{})
	if err != nil || probe.Effects() < 20 {
		t.Fatalf("%d effects: %v", probe.Effects(), err)
	}
	for n := 1; n <= probe.Effects(); n++ {
		dir := t.TempDir()
		disk := &taketest.Disk{FailAt: n}
		_, err := take.One(t.Context(), source(t, w), packageKey(1), take.Folder{Disk: disk, Path: dir}, console.Quiet{})
		failed, ok := errors.AsType[*take.DiskError](err)
		if !ok || !errors.Is(err, syscall.ENOSPC) || !strings.Contains(failed.Advice(), "disk is full") {
			t.Errorf("%s: %v", disk.Failed(), err)
		}
		for name, body := range files(t, dir) {
			last := n == probe.Effects() // the folder could not be synced: the file is whole
			if strings.HasSuffix(name, ".partial") || strings.HasSuffix(name, ".zip") && !last || len(body) == 0 {
				t.Errorf("%s: %s with %d bytes stayed", disk.Failed(), name, len(body))
			}
		}
		if _, err := one(t, source(t, w), packageKey(1), dir); err != nil || len(files(t, dir)) != 4 {
			t.Errorf("after %s: %v, files %q", disk.Failed(), err, names(files(t, dir)))
		}
	}
}

// TestInterrupted: wherever it is interrupted, no package appears that is not whole, and no draft stays.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	w := verifytest.New(t)
	for n := 1; n <= 20; n++ {
		ctx, cancel := context.WithCancel(t.Context())
		dir := t.TempDir()
		disk := &taketest.Disk{Before: func(at int) {
			if at == n {
				cancel()
			}
		}}
		_, err := take.One(ctx, source(t, w), packageKey(1), take.Folder{Disk: disk, Path: dir}, console.Quiet{})
		cancel()
		all := files(t, dir)
		if stopped, ok := errors.AsType[*take.InterruptedError](err); err != nil && (!ok || stopped.Advice() == "") {
			t.Errorf("effect %d: %v", n, err)
		}
		if body, ok := all[name1+".zip"]; ok && !bytes.Equal(body, w.Store.Body(packageKey(1))) || err == nil && !ok {
			t.Errorf("effect %d: %v, %q", n, err, names(all))
		}
		for name := range all {
			if strings.HasSuffix(name, ".partial") {
				t.Errorf("effect %d: %s stayed", n, name)
			}
		}
	}
}

// broken is an archive whose objects break off.
type broken struct {
	verify.Archive

	after int64
}

func (b broken) Open(ctx context.Context, key, version string) (io.ReadCloser, error) {
	body, err := b.Archive.Open(ctx, key, version)
	if err != nil || !strings.HasSuffix(key, ".zip") {
		return body, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(io.LimitReader(body, b.after), failing{}), body}, nil
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// TestBrokenOff: a read that breaks off is not a package, not even after its last byte.
func TestBrokenOff(t *testing.T) {
	t.Parallel()
	w := verifytest.New(t)
	size := int64(len(w.Store.Body(packageKey(1))))
	for _, after := range []int64{0, 1, size - 1, size} {
		dir := t.TempDir()
		from := taketest.Source(broken{w.Store, after}, w.Trust(t), w.Book)
		got, err := one(t, from, packageKey(1), dir)
		if err != nil || got.Summary.Verdict() != verify.Partial || len(got.Files) > 0 || len(files(t, dir)) > 0 {
			t.Errorf("after %d bytes: %s, %v, files %q", after, got.Summary.Verdict(), err, names(files(t, dir)))
		}
	}
}
