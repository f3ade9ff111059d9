package storezip_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"packhorse/cmd/packhorse/storezip"
	"packhorse/internal/zipinspect"
)

var modified = time.Date(2026, 3, 4, 5, 6, 8, 0, time.UTC)

func newFile(t *testing.T) *os.File {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "x.zip"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return file
}

func add(t *testing.T, w *storezip.Writer, name, text string) {
	t.Helper()
	e, err := w.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(e, text); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}

// contents reads a ZIP with the standard library, which checks every CRC-32.
func contents(t *testing.T, file *os.File) map[string]string {
	t.Helper()
	r, err := zip.OpenReader(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	all := map[string]string{}
	for _, f := range r.File {
		if f.Method != zip.Store || !f.Modified.Equal(modified) || f.Mode().Perm() != 0o644 {
			t.Errorf("%s: method %d, modified %s, mode %s", f.Name, f.Method, f.Modified, f.Mode())
		}
		body, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(body)
		if err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		all[f.Name] = string(text)
	}
	return all
}

func TestWriter(t *testing.T) {
	t.Parallel()
	file := newFile(t)
	w := storezip.New(file, modified)
	add(t, w, "empty", "")
	add(t, w, "a/b.txt", "some text")

	e, err := w.Create("taken/back")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(e, strings.Repeat("never to be seen", 5000))
	if err := e.Discard(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"s", "renamed/to something longer than it was"} {
		e, err = w.Create("packages/renamed")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(e, name)
		if err := e.Rename(name); err != nil {
			t.Fatal(err)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got := contents(t, file)
	want := map[string]string{"empty": "", "a/b.txt": "some text", "s": "s",
		"renamed/to something longer than it was": "renamed/to something longer than it was"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q, want %q", got, want)
	}

	// The judge of packages finds nothing odd in it: every byte belongs to an entry or the directory.
	body, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	i, err := zipinspect.Inspect(bytes.NewReader(body), true)
	if err != nil || i.NotAPackage != nil || len(i.Content.Remarks) > 0 || i.Content.Entries != 4 {
		t.Errorf("inspected: %+v, %v", i, err)
	}
	if bytes.Contains(body, []byte("never to be seen")) {
		t.Error("the entry that was taken back is still in the file")
	}
}

func TestMisuse(t *testing.T) {
	t.Parallel()
	w := storezip.New(newFile(t), modified)
	add(t, w, "a", "")
	if _, err := w.Create("a"); err == nil {
		t.Error("a name was accepted twice")
	}
	e, err := w.Create("b")
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Rename("a"); err == nil {
		t.Error("renamed to a name that exists")
	}
	if err := e.Rename(strings.Repeat("x", 40)); err == nil {
		t.Error("a name was accepted that has no room")
	}
	if _, err := w.Create("c"); err == nil {
		t.Error("two entries are open at once")
	}
	if err := w.Close(); err == nil {
		t.Error("closed with an open entry")
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Write([]byte("x")); err == nil {
		t.Error("wrote to a closed entry")
	}
	if err := e.Close(); err == nil {
		t.Error("closed twice")
	}
	if err := e.Discard(); err == nil {
		t.Error("took back what is closed")
	}
}

// TestManyEntries: more entries than the 16-bit fields can count.
func TestManyEntries(t *testing.T) {
	t.Parallel()
	file := newFile(t)
	w := storezip.New(file, modified)
	const entries = 1<<16 + 3
	for i := range entries {
		add(t, w, fmt.Sprintf("%06d", i), "")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := zip.OpenReader(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if len(r.File) != entries || r.File[entries-1].Name != fmt.Sprintf("%06d", entries-1) {
		t.Errorf("%d entries", len(r.File))
	}
}

var zeros = make([]byte, 16<<20)

// sparse is a file in memory. It does not keep the zeros of huge entries.
type sparse struct {
	size  int64
	parts map[int64][]byte // by offset; they do not overlap
}

func (s *sparse) WriteAt(p []byte, at int64) (int, error) {
	s.size = max(s.size, at+int64(len(p)))
	if len(p) != len(zeros) || !bytes.Equal(p, zeros) {
		s.parts[at] = bytes.Clone(p)
	}
	return len(p), nil
}

func (s *sparse) Truncate(int64) error { return errors.ErrUnsupported }

func (s *sparse) ReadAt(p []byte, at int64) (int, error) {
	n := int(min(int64(len(p)), s.size-at))
	clear(p[:n])
	for from, part := range s.parts {
		if from < at+int64(n) && at < from+int64(len(part)) {
			copy(p[max(0, from-at):n], part[max(0, at-from):])
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// TestFourGiB: an entry of more than 4 GiB, and another one behind it.
func TestFourGiB(t *testing.T) {
	t.Parallel()
	file := &sparse{parts: map[int64][]byte{}}
	w := storezip.New(file, modified)
	add(t, w, "before", "before")
	e, err := w.Create("huge")
	if err != nil {
		t.Fatal(err)
	}
	var size int64
	for ; size <= 1<<32; size += int64(len(zeros)) {
		if _, err := e.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	add(t, w, "behind", "behind")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := zip.NewReader(file, file.size)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []uint64{6, uint64(size), 6} {
		f := r.File[i]
		body, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		// The reader compares the CRC-32. io.Discard's own buffer would take half a million reads.
		n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, body, make([]byte, 16<<20))
		if err != nil || uint64(n) != want || f.UncompressedSize64 != want {
			t.Errorf("%s: read %d bytes of %d, want %d: %v", f.Name, n, f.UncompressedSize64, want, err)
		}
	}
}

// failing fails from the nth call on.
type failing struct {
	storezip.Target

	left int
}

var errFull = errors.New("no space left on device")

func (f *failing) WriteAt(p []byte, at int64) (int, error) {
	f.left--
	if f.left < 0 {
		return 0, errFull
	}
	return f.Target.WriteAt(p, at)
}

// TestFailures: whichever write fails, the Writer says so.
func TestFailures(t *testing.T) {
	t.Parallel()
	write := func(target storezip.Target) error {
		w := storezip.New(target, modified)
		for _, name := range []string{"a", "b"} {
			e, err := w.Create(name)
			if err != nil {
				return err
			}
			if _, err := io.WriteString(e, name); err != nil {
				return err
			}
			if err := e.Close(); err != nil {
				return err
			}
		}
		return w.Close()
	}
	const writes = 5
	for n := range writes {
		if err := write(&failing{newFile(t), n}); !errors.Is(err, errFull) {
			t.Errorf("write %d failed, and the error is %v", n+1, err)
		}
	}
	if err := write(&failing{newFile(t), writes}); err != nil {
		t.Errorf("after %d writes: %v", writes, err)
	}
}

// TestSame: the same entries give the same bytes.
func TestSame(t *testing.T) {
	t.Parallel()
	var sums [2][sha256.Size]byte
	for i := range sums {
		file := newFile(t)
		w := storezip.New(file, modified)
		add(t, w, "a", "text")
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		body, err := os.ReadFile(file.Name())
		if err != nil {
			t.Fatal(err)
		}
		sums[i] = sha256.Sum256(body)
	}
	if sums[0] != sums[1] {
		t.Error("two ZIPs of the same entries differ")
	}
}
