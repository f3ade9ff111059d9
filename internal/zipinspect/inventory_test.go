package zipinspect_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"reflect"
	"strings"
	"testing"

	"packhorse/internal/investigation"
	"packhorse/internal/zipinspect"
)

// zipWith returns a ZIP of stored files with the given headers: one byte for each file, empty for
// folders.
func zipWith(tb testing.TB, headers ...zip.FileHeader) []byte {
	tb.Helper()
	var file bytes.Buffer
	w := zip.NewWriter(&file)
	for _, header := range headers {
		entry, err := w.CreateHeader(&header)
		if err != nil {
			tb.Fatal(err)
		}
		if !strings.HasSuffix(header.Name, "/") {
			if _, err := entry.Write([]byte("x")); err != nil {
				tb.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return file.Bytes()
}

// named returns a ZIP of files with the given names.
func named(tb testing.TB, names ...string) []byte {
	tb.Helper()
	headers := make([]zip.FileHeader, len(names))
	for i, name := range names {
		headers[i].Name = name
	}
	return zipWith(tb, headers...)
}

// patched returns a copy of file with value at the given place of its nth directory entry.
func patched(tb testing.TB, file []byte, n, at int, value any) []byte {
	tb.Helper()
	from := int(binary.LittleEndian.Uint32(file[len(file)-22+16:]))
	for range n {
		from += 46 + int(binary.LittleEndian.Uint16(file[from+28:])) +
			int(binary.LittleEndian.Uint16(file[from+30:])) + int(binary.LittleEndian.Uint16(file[from+32:]))
	}
	return changed(tb, file, from+at, value)
}

type inventoryTest struct {
	file    []byte
	top     []string
	entries int64
	size    int64
	remarks []string // a substring of each remark
}

// hostile are packages that are stored with remarks.
func hostile(tb testing.TB) map[string]inventoryTest {
	tb.Helper()
	// In the extra field of the first: sizes of 2^40 and 3.
	large := append([]byte{1, 0, 16, 0}, make([]byte, 16)...)
	binary.LittleEndian.PutUint64(large[4:], 1<<40)
	binary.LittleEndian.PutUint64(large[12:], 1)
	bomb := patched(tb, zipWith(tb, zip.FileHeader{Name: "b", Extra: large}), 0, 24, uint32(1<<32-1))
	bomb = patched(tb, bomb, 0, 20, uint32(1<<32-1))
	binary.LittleEndian.PutUint64(large[4:], 1<<63)
	endless := patched(tb, zipWith(tb, zip.FileHeader{Name: "e", Extra: large},
		zip.FileHeader{Name: "f", Extra: large}), 0, 24, uint32(1<<32-1))
	endless = patched(tb, endless, 1, 24, uint32(1<<32-1))
	var link zip.FileHeader
	link.Name = "l"
	link.SetMode(0o777 | 1<<27) // fs.ModeSymlink
	return map[string]inventoryTest{
		"a dot dot": {named(tb, "a/../../x", `..\y`, "a..b/z"), []string{"a..b/"}, 3, 3,
			[]string{`2 names lead out of the folder they are unpacked in: "a/../../x", "..\\y".`}},
		"absolute": {named(tb, "/etc/passwd", `C:\x`, "c:x", `\\host\x`, "D/e"), []string{"D/"}, 5, 5,
			[]string{`4 names lead out`}},
		"controls": {named(tb, "a\x00.exe", "b\x1b[2J", "c\u202etxt.exe", "d\u0085"), nil, 4, 4,
			[]string{`4 names have control characters: "a\x00.exe", "b\x1b[2J", "c\u202etxt.exe", "d\u0085".`}},
		"no text": {named(tb, "a\xff/b", "Autoruns/x"), []string{"Autoruns/"}, 2, 2,
			[]string{`1 name is not UTF-8: "a\xff/b".`}},
		"no name": {named(tb, ""), nil, 1, 1, []string{"1 entry has no name: \"\"."}},
		"twice": {named(tb, "a/b", "a/b", "a/b"), []string{"a/"}, 3, 3,
			[]string{`2 entries have names that earlier ones have: "a/b", "a/b".`}},
		"encrypted": {patched(tb, named(tb, "a"), 0, 8, uint16(9)), []string{"a"}, 1, 1,
			[]string{`1 entry claims to be encrypted: "a".`}},
		"symlink": {zipWith(tb, link), []string{"l"}, 1, 1,
			[]string{`1 entry is a symbolic link: "l".`}},
		"bomb": {bomb, []string{"b"}, 1, 1 << 40,
			[]string{`1 entry claims to grow to more than a thousand times its size: "b".`}},
		"more than numbers": {endless, []string{"e", "f"}, 2, 1<<53 - 1,
			[]string{"2 entries claim to grow", "more than 9007199254740991 bytes together"}},
		"a long name": {named(tb, strings.Repeat("ä", 200)+"/x"), []string{strings.Repeat("ä", 50) + "…/"}, 1, 1, nil},
		"many bad names": {named(tb, strings.Split(strings.Repeat("../x,", 1000)+"y", ",")...), []string{"y"}, 1001, 1001,
			[]string{`1000 names lead out of the folder they are unpacked in: "../x", "../x", "../x", "../x", "../x" and 995 more.`,
				`999 entries have names`}},
		"another end": {many(tb, 1, "PK\x05\x06"+strings.Repeat("\x00", 18)+"."), []string{"f0"}, 1, 0,
			[]string{"The comment has another end record in it"}},
		"folders": {named(tb, "b/", "b/c.txt", "a.txt", `w\x.txt`, "b"), []string{"a.txt", "b", "b/", "w/"}, 5, 4, nil},
	}
}

// A hostile ZIP is still a package, and remarks say why it is hostile.
func TestInventory(t *testing.T) {
	for name, test := range hostile(t) {
		for range 3 { // it is the same every time
			got, err := zipinspect.Check(test.file, 1000)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				break
			}
			checkBounded(t, got)
			if got.Entries != test.entries || got.UncompressedSize != test.size ||
				!reflect.DeepEqual(got.TopLevel, test.top) || len(got.Remarks) != len(test.remarks) {
				t.Errorf("%s: got %+v", name, got)
				break
			}
			for i, want := range test.remarks {
				if !strings.Contains(got.Remarks[i], want) {
					t.Errorf("%s: got %q, want %q", name, got.Remarks[i], want)
				}
			}
		}
	}
}

// The list of top-level names is bounded, and those left out are counted.
func TestManyAtTheTop(t *testing.T) {
	names := make([]string, zipinspect.TopMax+7)
	for i := range names {
		names[len(names)-1-i] = fmt.Sprintf("%03d/x", i)
	}
	file := named(t, names...)
	got, err := zipinspect.Check(file, 1000)
	if err != nil || len(got.TopLevel) != zipinspect.TopMax || got.TopLevel[0] != "000/" ||
		!reflect.DeepEqual(got.Remarks, []string{"At the top there are 7 names more than are listed."}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

// A hundred thousand entries take the records for large archives, and all are read.
func TestManyEntries(t *testing.T) {
	file := many(t, 100_000, "")
	got, err := zipinspect.Check(file, 1<<20)
	if err != nil || got.Entries != 100_000 || len(got.TopLevel) != zipinspect.TopMax {
		t.Errorf("%d entries, %v, %v", got.Entries, got.Remarks, err)
	}
}

// If a directory is larger than the kept tail, only its end record is used.
func TestHugeDirectory(t *testing.T) {
	file := many(t, 180_000, "")
	got, err := zipinspect.Check(file, 1<<20)
	if err != nil || got.Entries != 180_000 || got.TopLevel != nil ||
		len(got.Remarks) != 1 || !strings.Contains(got.Remarks[0], "what is in the package is not known") {
		t.Errorf("got %+v, %v", got, err)
	}
	// The same after a stub that its offsets count, and after one that they do not.
	counted := changed(t, file, 0, []byte("MZ\x90\x00"))
	got, err = zipinspect.Check(counted, 1<<20)
	if err != nil || len(got.Remarks) != 2 || got.Remarks[1] != "It does not begin with an entry." {
		t.Errorf("stub: got %+v, %v", got, err)
	}
	uncounted := append([]byte("MZ\x90\x00"), file...)
	got, err = zipinspect.Check(uncounted, 1<<20)
	if err != nil || len(got.Remarks) != 2 || !strings.Contains(got.Remarks[0], "4 bytes lie before the first entry") {
		t.Errorf("stub, uncounted: got %+v, %v", got, err)
	}
}

// If only the tail of a package is kept, the directory and the records are found wherever the tail
// wraps.
func TestBeyondTheTail(t *testing.T) {
	z := infoZip()["Info-ZIP, from a pipe"]
	for before := zipinspect.TailMax - len(z.bytes()) - 5; before < zipinspect.TailMax+5; before += 37 {
		for _, z.uncounted = range []bool{false, true} {
			z.before = strings.Repeat("x", before)
			file := z.bytes()
			got, err := zipinspect.Check(file, 1<<20)
			if err != nil || got.Entries != 1 || len(got.Remarks) != 1 ||
				!strings.HasPrefix(got.Remarks[0], fmt.Sprint(before, " bytes lie before")) {
				t.Errorf("after %d bytes: got %+v, %v", before, got, err)
			}
		}
	}
}

// More bytes between two entries than their headers can explain cause a remark only, since programs
// that unpack never read them.
func TestBytesBetween(t *testing.T) {
	two := named(t, "a", strings.Repeat("b", 10))
	second := bytes.Index(two[4:], []byte("PK\x03\x04")) + 4
	const gap = 200_000
	file := append(append(bytes.Clone(two[:second]), make([]byte, gap)...), two[second:]...)
	end := len(file) - 22
	binary.LittleEndian.PutUint32(file[end+16:], binary.LittleEndian.Uint32(file[end+16:])+gap)
	file = patched(t, file, 1, 42, uint32(second+gap))
	got, err := zipinspect.Check(file, 4096)
	if err != nil || len(got.Remarks) != 1 ||
		!strings.Contains(got.Remarks[0], "bytes lie between the entries") {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestInspect(t *testing.T) {
	body := zipOf(t, 3000)
	got, err := zipinspect.Inspect(bytes.NewReader(body), true)
	sum := sha256.Sum256(body)
	crc := binary.BigEndian.AppendUint32(nil, crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
	if err != nil || got.NotAPackage != nil || got.Size != int64(len(body)) ||
		got.SHA256 != hex.EncodeToString(sum[:]) ||
		got.CRC32C != base64.StdEncoding.EncodeToString(crc) || got.Content.Entries != 2 {
		t.Errorf("got %+v, %v", got, err)
	}
	got, err = zipinspect.Inspect(bytes.NewReader(body[:2000]), true)
	if err != nil || !errors.Is(got.NotAPackage, investigation.ErrNotAPackage) || got.Size != 2000 {
		t.Errorf("a part of it: got %+v, %v", got, err)
	}
	got, err = zipinspect.Inspect(bytes.NewReader(body[:2000]), false)
	if err != nil || got.NotAPackage != nil || !reflect.DeepEqual(got.Content, investigation.Content{}) {
		t.Errorf("not checked: got %+v, %v", got, err)
	}
}

// BenchmarkInventory reads a directory of a hundred thousand entries.
func BenchmarkInventory(b *testing.B) {
	file := many(b, 100_000, "")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := zipinspect.Check(file, 1<<20); err != nil {
			b.Fatal(err)
		}
	}
}
