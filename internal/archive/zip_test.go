package archive_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"packhorse/internal/archive"
	"packhorse/internal/investigation"
)

// many is a ZIP of n empty files, with a comment.
func many(tb testing.TB, n int, comment string) []byte {
	tb.Helper()
	var file bytes.Buffer
	w := zip.NewWriter(&file)
	for i := range n {
		header := &zip.FileHeader{Name: fmt.Sprint("f", i), Method: zip.Store}
		if _, err := w.CreateHeader(header); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.SetComment(comment); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return file.Bytes()
}

// seeds are ZIPs as archive/zip writes them, from none to so many files that it takes the records
// for large archives.
func seeds(tb testing.TB) map[string][]byte {
	tb.Helper()
	return map[string][]byte{
		"empty":        many(tb, 0, ""),
		"one":          many(tb, 1, ""),
		"comment":      many(tb, 3, "a comment"),
		"false end":    many(tb, 3, "PK\x05\x06"+strings.Repeat("\x00", 30)),
		"long comment": many(tb, 3, strings.Repeat("x", 1<<16-1)),
		"large":        many(tb, 1<<16+10, ""),
		"real":         zipOf(tb, 2000),
	}
}

func TestAccepted(t *testing.T) {
	for name, file := range seeds(t) {
		for _, step := range []int{1 << 20, 4096, 7} {
			if err := archive.Check(file, int64(len(file)), step); err != nil {
				t.Errorf("%s in steps of %d: %v", name, step, err)
			}
		}
	}
}

// A package that was cut anywhere, or had a byte changed that matters, is refused.
func TestRefused(t *testing.T) {
	file := zipOf(t, 2000)
	for n := range len(file) {
		err := archive.Check(file[:n], investigation.SizeUnknown, 512)
		if !errors.Is(err, investigation.ErrNotAPackage) {
			t.Fatalf("cut to %d of %d bytes: got %v", n, len(file), err)
		}
	}
	end := len(file) - 22
	for name, at := range map[string]int{
		"begin": 0, "end signature": end, "disk": end + 4, "entries": end + 10, "directory size": end + 12,
		"directory offset": end + 16, "comment length": end + 20,
		"directory entry": int(binary.LittleEndian.Uint32(file[end+16:])),
	} {
		broken := bytes.Clone(file)
		broken[at] ^= 0x40
		err := archive.Check(broken, int64(len(broken)), 512)
		if !errors.Is(err, investigation.ErrNotAPackage) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// FuzzZip feeds any bytes, in steps of any size. The judgement does not depend on the steps, and
// what is accepted is something archive/zip opens, with as many files as the directory says.
func FuzzZip(f *testing.F) {
	for name, file := range seeds(f) {
		if name != "large" { // too large to be worth mutating
			f.Add(file, 7)
		}
	}
	f.Add([]byte("PK\x05\x06"), 1)
	f.Fuzz(func(t *testing.T, file []byte, step int) {
		step = max(1, step)
		err := archive.Check(file, int64(len(file)), step)
		if whole := archive.Check(file, int64(len(file)), max(1, len(file))); (err == nil) != (whole == nil) {
			t.Fatalf("in steps of %d: %v, at once: %v", step, err, whole)
		}
		if err != nil {
			if !errors.Is(err, investigation.ErrNotAPackage) {
				t.Fatalf("got %v", err)
			}
			return
		}
		// archive/zip also refuses a directory whose entries have broken extra fields, which says
		// nothing about whether all the bytes came; and names that lead out of a folder, which are
		// hostile, and evidence.
		_, err = zip.NewReader(bytes.NewReader(file), int64(len(file)))
		if err != nil && !errors.Is(err, zip.ErrInsecurePath) && !errors.Is(err, zip.ErrFormat) {
			t.Fatalf("archive/zip says %v", err)
		}
	})
}
