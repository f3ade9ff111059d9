package zipinspect_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"

	"packhorse/internal/investigation"
	"packhorse/internal/zipinspect"
)

// ZIPs of common programs are stored without remarks, except for a name in an unknown encoding, and
// with as many entries as archive/zip reads.
func TestProducers(t *testing.T) {
	for name, z := range producers() {
		file := z.bytes()
		var remarks []string
		if name == "CP437" {
			remarks = []string{`1 name is not UTF-8: "M\x81ller.txt".`}
		}
		for _, step := range []int{1, 7, len(file)} {
			got, err := zipinspect.Check(file, step)
			if err != nil || got.Entries != int64(len(z.entries)) || !reflect.DeepEqual(got.Remarks, remarks) {
				t.Errorf("%s in steps of %d: got %+v, %v", name, step, got, err)
			}
		}
		seen, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
		if err != nil || len(seen.File) != len(z.entries) {
			t.Errorf("%s: archive/zip reads something else: %v", name, err)
		}
		// An incomplete package is refused, wherever it ends.
		for n := range len(file) {
			if _, err := zipinspect.Check(file[:n], n+1); !errors.Is(err, investigation.ErrNotAPackage) {
				t.Errorf("%s, cut to %d of %d bytes: got %v", name, n, len(file), err)
			}
		}
	}
}

const (
	contradict = "The end records contradict one another or the directory"
	overlap    = "Entries overlap, 1 of them"
)

// oddity is a whole ZIP with a strange layout, and its remarks.
type oddity struct {
	zipLayout
	remarks []string
}

// odd has such ZIPs. Each was unpacked whole and without an error by one or more of unzip 6.0,
// 7-Zip 26.02, bsdtar 3.6.2, CPython 3.11, java.util.zip.ZipFile 17 and archive/zip, most of them
// by most.
func odd() map[string]oddity {
	all := oddEnds()
	maps.Copy(all, oddLayouts())
	return all
}

// oddLayouts have unexpected bytes, or use the same bytes more than once.
func oddLayouts() map[string]oddity {
	const stub = "#!/bin/sh\nexec unzip $0\n"
	stubbed := []string{fmt.Sprintf("%d bytes lie before the first entry", len(stub))}
	a, b := stored("a.txt", 20), stored("b.txt", 20)
	two, pipe := []entryLayout{a, b}, infoZip()["Info-ZIP, from a pipe"].entries
	inside := a
	inside.central[1] = 40
	return map[string]oddity{
		"self-extractor":                 {zipLayout{before: stub, entries: two}, stubbed},
		"self-extractor, as it was":      {zipLayout{before: stub, uncounted: true, entries: two}, stubbed},
		"self-extractor, zip64":          {zipLayout{before: stub, entries: pipe, madeBy: 45}, stubbed},
		"self-extractor, zip64 as was":   {zipLayout{before: stub, uncounted: true, entries: pipe, madeBy: 45}, stubbed},
		"zip -s 1m, and small":           {zipLayout{before: "PK\x07\x08", entries: two}, []string{"4 bytes lie before"}},
		"a single volume":                {zipLayout{before: "PK00", entries: two}, []string{"4 bytes lie before"}},
		"an entry in no directory":       {zipLayout{before: a.header() + a.data, entries: two}, []string{"41 bytes lie before"}},
		"libarchive to a pipe":           {zipLayout{entries: two, behind: strings.Repeat("\x00", 10000)}, []string{"10000 bytes lie after the end record"}},
		"a line behind":                  {zipLayout{entries: two, comment: "c", behind: "\n"}, []string{"1 byte lies after the end record"}},
		"behind, further than a comment": {zipLayout{entries: two, behind: strings.Repeat("\x00", 100_000)}, []string{"100000 bytes lie after"}},
		"behind, zip64":                  {zipLayout{entries: pipe, madeBy: 45, behind: "x"}, []string{"1 byte lies after"}},
		"bytes behind the directory":     {zipLayout{entries: two, between: "PK\x05\x05\x04\x00sign"}, []string{"10 bytes lie between the directory and the end record"}},
		"the same bytes twice":           {zipLayout{entries: []entryLayout{a, again(a, 0)}}, []string{"a name that an earlier one has", overlap}},
		"data in one another":            {zipLayout{entries: []entryLayout{inside, b}}, []string{overlap}},
	}
}

// oddEnds have end records that contradict one another or the directory.
func oddEnds() map[string]oddity {
	two := []entryLayout{stored("a.txt", 20), stored("b.txt", 20)}
	small := func(change func(*ends), remarks ...string) oddity {
		return oddity{zipLayout{entries: two, change: change}, append([]string{contradict}, remarks...)}
	}
	large := func(change func(*ends), remarks ...string) oddity {
		o := small(change, remarks...)
		o.madeBy = 45
		return o
	}
	many := make([]entryLayout, 1<<16+2)
	for i := range many {
		many[i] = emptied(stored(fmt.Sprint(i), 20))
	}
	wrapped := small(func(e *ends) { e.Small[0] = 2 }, "65438 names more")
	wrapped.entries = many
	commented := stored("a.txt", 20)
	commented.comment = "PK\x06\x07" + strings.Repeat("\x00", 16)
	return map[string]oddity{
		"directory too small":          small(func(e *ends) { e.Small[1]-- }),
		"directory without a size":     small(func(e *ends) { e.Small[1] = 0 }),
		"directory too large":          small(func(e *ends) { e.Small[1] += 7 }),
		"fewer entries":                small(func(e *ends) { e.Small[0]-- }),
		"entries counted in 16 bits":   wrapped,
		"records that differ":          large(func(e *ends) { e.Small[1]++ }),
		"records that differ, zip64":   large(func(e *ends) { e.Offset++ }, "76 bytes lie between the directory and the end record"),
		"the locator lies":             large(func(e *ends) { e.Record-- }),
		"the locator lies far":         large(func(e *ends) { e.Record = 1 << 63 }),
		"a record of another length":   large(func(e *ends) { e.Length++ }),
		"no locator, it only looks so": {zipLayout{entries: []entryLayout{commented}}, []string{contradict}},
	}
}

// A ZIP that any program unpacks whole is stored, with remarks on its oddities.
func TestOddities(t *testing.T) {
	for name, test := range odd() {
		file := test.bytes()
		for _, step := range []int{100, len(file)} {
			got, err := zipinspect.Check(file, step)
			if err != nil || got.Entries != int64(len(test.entries)) {
				t.Errorf("%s: got %+v, %v", name, got, err)
				break
			}
			checkBounded(t, got)
			if len(got.Remarks) != len(test.remarks) {
				t.Errorf("%s: got %q, want %q", name, got.Remarks, test.remarks)
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

// again returns e as a second directory entry with the offset of the first, without any bytes.
func again(e entryLayout, offset uint32) entryLayout {
	e.again, e.offset = true, offset
	return e
}

// A ZIP that is incomplete by its own account is refused, and so is one that no program unpacks.
func TestRefusedForCause(t *testing.T) {
	a, b := stored("a.txt", 20), stored("b.txt", 20)
	two := []entryLayout{a, b}
	with := func(f func(*ends)) []byte { return zipLayout{entries: two, change: f}.bytes() }
	large := func(f func(*ends)) []byte {
		return zipLayout{entries: two, madeBy: 45, small: [3]uint32{0xffff, elsewhere, elsewhere}, change: f}.bytes()
	}
	whole := zipLayout{entries: two}.bytes()
	inner := a
	inner.data = string(whole)
	cut := zipLayout{entries: []entryLayout{inner}}.bytes()
	cut = cut[:bytes.Index(cut, []byte("PK\x05\x06"))+22]
	outside, other := b, b
	outside.central[1], other.volume = 1000, 1
	moved := zipLayout{before: "#!/bin/sh\n", entries: two}.bytes()
	directory := int(binary.LittleEndian.Uint32(whole[len(whole)-22+16:]))
	for name, test := range map[string]struct {
		file []byte
		want string
	}{
		"cut behind a ZIP in it":     {cut, "cut off, or several were joined"},
		"the same, and more":         {append(bytes.Clone(cut), "more"...), "cut off, or several were joined"},
		"two joined":                 {append(bytes.Clone(whole), whole...), "cut off, or several were joined"},
		"cut in its comment":         {zipLayout{entries: two, comment: "a comment"}.bytes()[:len(whole)+3], "no end record"},
		"cut at the front":           {moved[10:], "does not end where its end record begins"},
		"the last volume":            {zipLayout{entries: two, volume: 3}.bytes(), "one volume of several"},
		"the first volume":           {append([]byte("PK\x07\x08"), whole[:40]...), "the first volume of several"},
		"zip64, several volumes":     {large(func(e *ends) { e.Volumes = 2 }), "one volume of several"},
		"an entry in another volume": {zipLayout{entries: []entryLayout{a, other}}.bytes(), "another volume"},
		"some entries elsewhere":     {changed(t, whole, len(whole)-22+8, uint16(1)), "one volume of several"},
		"more entries":               {with(func(e *ends) { e.Small[0]++ }), "are too few"},
		"more entries, and room":     {zipLayout{entries: two, between: strings.Repeat("x", 100), change: func(e *ends) { e.Small[0]++ }}.bytes(), "has 2 entries and says 3"},
		"zip64, endless entries":     {large(func(e *ends) { e.Entries = 1 << 63 }), "are too few"},
		"no record for large ones":   {changed(t, large(nil), len(large(nil))-22-20-56, uint8('X')), "not where it should be"},
		"data in the directory":      {zipLayout{entries: []entryLayout{a, outside}}.bytes(), "points outside"},
		"an offset in it":            {zipLayout{entries: []entryLayout{a, again(b, uint32(directory))}}.bytes(), "points outside"},
		"no first entry":             {changed(t, whole, 0, uint8('X')), "first entry is not where"},
		"an entry that is broken":    {changed(t, whole, directory+46+len("a.txt"), uint8('X')), "has 1 entries and says 2"},
		"bytes and no entries":       {zipLayout{before: "MZ and so on"}.bytes(), "no entries, and 12 bytes before"},
		"a page":                     {[]byte("<html>sign in</html>"), "does not begin like a ZIP (20 bytes received)"},
	} {
		got, err := zipinspect.Check(test.file, 4096)
		if !errors.Is(err, investigation.ErrNotAPackage) || !strings.Contains(err.Error(), test.want) ||
			!reflect.DeepEqual(got, investigation.Content{}) {
			t.Errorf("%s: got %+v, %v, want %q", name, got, err, test.want)
		}
	}
}

// changed returns a copy of file with value at the given place.
func changed(tb testing.TB, file []byte, at int, value any) []byte {
	tb.Helper()
	file = bytes.Clone(file)
	if _, err := binary.Encode(file[at:], binary.LittleEndian, value); err != nil {
		tb.Fatal(err)
	}
	return file
}
