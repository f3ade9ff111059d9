package zipinspect_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"packhorse/internal/investigation"
	"packhorse/internal/zipinspect"
)

// zipOf returns a ZIP of a little more than size bytes that do not compress.
func zipOf(tb testing.TB, size int) []byte {
	tb.Helper()
	var file bytes.Buffer
	w := zip.NewWriter(&file)
	random := rand.New(rand.NewPCG(1, uint64(size)))
	for _, name := range []string{"Autoruns/autoruns.csv", "Processes/processes.csv"} {
		entry, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err != nil {
			tb.Fatal(err)
		}
		body := make([]byte, size/2)
		for i := range body {
			body[i] = byte(random.Uint32())
		}
		if _, err := entry.Write(body); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return file.Bytes()
}

// many returns a ZIP of n empty files, with a comment.
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

// seeds are ZIPs that archive/zip wrote, from empty to so many files that they need the records for
// large archives.
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
			if _, err := zipinspect.Check(file, step); err != nil {
				t.Errorf("%s in steps of %d: %v", name, step, err)
			}
		}
	}
}

// A package that was cut anywhere, or had a significant byte changed, is refused.
func TestRefused(t *testing.T) {
	file := zipOf(t, 2000)
	for n := range len(file) {
		_, err := zipinspect.Check(file[:n], 512)
		if !errors.Is(err, investigation.ErrNotAPackage) {
			t.Fatalf("cut to %d of %d bytes: got %v", n, len(file), err)
		}
	}
	end := len(file) - 22
	for name, at := range map[string]int{
		"begin": 0, "end signature": end, "disk": end + 4, "entries": end + 10, "directory offset": end + 16, "comment length": end + 20,
		"directory entry": int(binary.LittleEndian.Uint32(file[end+16:])),
	} {
		broken := bytes.Clone(file)
		broken[at] ^= 0x40
		_, err := zipinspect.Check(broken, 512)
		if !errors.Is(err, investigation.ErrNotAPackage) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// FuzzZip feeds any bytes, in steps of any size. The result does not depend on the steps, the
// content is bounded, and archive/zip can open every accepted file and finds as many entries as the
// directory declares.
func FuzzZip(f *testing.F) {
	for name, file := range seeds(f) {
		if name != "large" { // too large to be worth mutating
			f.Add(file, 7)
		}
	}
	for _, test := range hostile(f) {
		if len(test.file) < 1<<16 {
			f.Add(test.file, 100)
		}
	}
	for _, z := range producers() {
		f.Add(z.bytes(), 100)
	}
	for _, test := range odd() {
		if len(test.entries) < 100 { // more are too large to be worth mutating
			f.Add(test.bytes(), 100)
		}
	}
	f.Add([]byte("PK\x05\x06"), 1)
	f.Fuzz(func(t *testing.T, file []byte, step int) {
		got, err := zipinspect.Check(file, max(1, step))
		whole, wholeErr := zipinspect.Check(file, max(1, len(file)))
		if (err == nil) != (wholeErr == nil) || !reflect.DeepEqual(got, whole) {
			t.Fatalf("in steps of %d: %+v, %v, at once: %+v, %v", step, got, err, whole, wholeErr)
		}
		if err != nil {
			if !errors.Is(err, investigation.ErrNotAPackage) {
				t.Fatalf("got %v", err)
			}
			return
		}
		checkBounded(t, got)
		// If the end records are odd, archive/zip may see other entries, or none.
		if slices.ContainsFunc(got.Remarks, isAboutLayout) {
			return
		}
		// archive/zip also refuses a directory whose entries have broken extra fields, which do not
		// show whether all the bytes came, and names that lead out of a folder, which are hostile
		// but evidence.
		files, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
		if err != nil && !errors.Is(err, zip.ErrInsecurePath) && !errors.Is(err, zip.ErrFormat) {
			t.Fatalf("archive/zip says %v", err)
		}
		if files != nil && int64(len(files.File)) != got.Entries {
			t.Fatalf("archive/zip has %d entries, got %d", len(files.File), got.Entries)
		}
	})
}

// isAboutLayout reports whether a remark is about the ZIP's layout.
func isAboutLayout(remark string) bool {
	for _, part := range []string{"end record", "before the first entry"} {
		if strings.Contains(remark, part) {
			return true
		}
	}
	return false
}

// remarksMax is one remark of each kind.
const remarksMax = 17

// checkBounded fails if the content exceeds its limits, or cannot be encoded as JSON.
func checkBounded(t *testing.T, c investigation.Content) {
	t.Helper()
	if c.Entries < 0 || c.UncompressedSize < 0 || c.UncompressedSize > 1<<53-1 {
		t.Errorf("%d entries, %d bytes", c.Entries, c.UncompressedSize)
	}
	if len(c.TopLevel) > zipinspect.TopMax || len(c.Remarks) > remarksMax {
		t.Errorf("%d names and %d remarks", len(c.TopLevel), len(c.Remarks))
	}
	for _, name := range c.TopLevel {
		if len(name) > zipinspect.QuotedMax+len("…/") || !utf8.ValidString(name) {
			t.Errorf("a name at the top of %d bytes: %q", len(name), name)
		}
	}
	total := 0
	for _, remark := range c.Remarks {
		total += len(remark)
		if strings.ContainsFunc(remark, unicode.IsControl) || !utf8.ValidString(remark) {
			t.Errorf("a remark that cannot be shown: %q", remark)
		}
	}
	if total > remarksMax*200+zipinspect.ExamplesMax*(zipinspect.QuotedMax*4+4) {
		t.Errorf("the remarks have %d bytes", total)
	}
}
