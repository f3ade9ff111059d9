package zipinspect_test

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"packhorse/internal/investigation"
	"packhorse/internal/zipinspect"
)

// ranges serves ranges of file and counts what was asked for.
type ranges struct {
	file  []byte
	calls int
	bytes int64
}

func (r *ranges) open(offset, length int64) (io.ReadCloser, error) {
	r.calls++
	r.bytes += length
	if offset < 0 || length < 0 || offset > int64(len(r.file)) {
		return nil, fmt.Errorf("a range that does not exist: %d, %d bytes", offset, length)
	}
	end := min(offset+length, int64(len(r.file)))
	return io.NopCloser(iotest.HalfReader(bytes.NewReader(r.file[offset:end]))), nil
}

// packed returns a ZIP of the files, deflated, in order.
func packed(tb testing.TB, files ...string) []byte {
	tb.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for i := 0; i < len(files); i += 2 {
		f, err := w.Create(files[i])
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := io.WriteString(f, files[i+1]); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

// TestMembers: the directory and one member are read by ranges, and nothing between them.
func TestMembers(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("0123456789abcdef", 1<<20)
	var random strings.Builder
	for i := range 1 << 18 {
		var p [4]byte
		binary.LittleEndian.PutUint32(p[:], uint32(i)*2654435761)
		random.Write(p[:])
	}
	file := packed(t, "a/big.txt", big, "b.bin", random.String(), "empty", "", "folder/", "", "c.txt", "text\n")
	r := &ranges{file: file}
	d, err := zipinspect.ReadDirectory(r.open, int64(len(file)))
	if err != nil || len(d.Members) != 5 || d.Content.Entries != 5 || r.calls != 2 || r.bytes != 4+128<<10 {
		t.Fatalf("%+v, %v: %d calls, %d bytes", d, err, r.calls, r.bytes)
	}
	for i, want := range []string{big, random.String(), "", "", "text\n"} {
		r.calls, r.bytes = 0, 0
		var out bytes.Buffer
		if err := d.Copy(&out, r.open, d.Members[i]); err != nil || out.String() != want {
			t.Errorf("%s: %d bytes, %v", d.Members[i].Name, out.Len(), err)
		}
		if r.calls != 2 || r.bytes != 30+d.Members[i].Compressed {
			t.Errorf("%s: %d calls, %d bytes", d.Members[i].Name, r.calls, r.bytes)
		}
	}
}

// TestDirectoryIsTheStreams: by ranges, every ZIP gets the description that it gets as a stream.
func TestDirectoryIsTheStreams(t *testing.T) {
	t.Parallel()
	files := map[string][]byte{
		"nothing": nil, "one byte": {'P'}, "no ZIP": bytes.Repeat([]byte("x"), 300<<10), "empty ZIP": many(t, 0, ""),
		"small": many(t, 3, "comment"), "2,000 files": many(t, 2000, strings.Repeat("c", 65535)),
		"30,000 files": many(t, 30000, ""), "stored": zipOf(t, 3<<20),
		"bytes before": append(bytes.Repeat([]byte("j"), 999), many(t, 5, "")...),
		"bytes behind": append(many(t, 9000, ""), make([]byte, 200<<10)...),
		"cut off":      zipOf(t, 3<<20)[:2<<20],
	}
	for name, file := range files {
		want, err := zipinspect.Inspect(bytes.NewReader(file), true)
		if err != nil {
			t.Fatal(err)
		}
		d, err := zipinspect.ReadDirectory((&ranges{file: file}).open, int64(len(file)))
		if (err == nil) != (want.NotAPackage == nil) || err != nil && err.Error() != want.NotAPackage.Error() ||
			!reflect.DeepEqual(d.Content, want.Content) || int64(len(d.Members)) != want.Content.Entries {
			t.Errorf("%s: got %d members, %v; want %d, %v", name, len(d.Members), err, want.Content.Entries, want.NotAPackage)
		}
		if err != nil && !errors.Is(err, investigation.ErrNotAPackage) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// directoryOf returns the offset of the first directory entry.
func directoryOf(file []byte) int { return bytes.Index(file, []byte("PK\x01\x02")) }

// TestDamagedMembers: whatever is wrong with a member, Copy says so and writes no more than was declared.
func TestDamagedMembers(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("the quick brown fox ", 5000)
	put16 := func(at int, v uint16) func([]byte, int) { // at: in the directory's entry
		return func(p []byte, dir int) { binary.LittleEndian.PutUint16(p[dir+at:], v) }
	}
	put32 := func(at int, v uint32) func([]byte, int) {
		return func(p []byte, dir int) { binary.LittleEndian.PutUint32(p[dir+at:], v) }
	}
	for name, c := range map[string]struct {
		change func(file []byte, dir int)
		want   string
	}{
		"CRC-32":           {put32(16, 7), "its CRC-32 is"},
		"declared smaller": {put32(24, 100), "more bytes than the 100"},
		"declared larger":  {put32(24, uint32(len(text))+1), fmt.Sprintf("it has %d bytes, and", len(text))},
		"one byte":         {func(p []byte, _ int) { p[80] ^= 0x55 }, "damaged"},
		"no header":        {func(p []byte, _ int) { p[26+2] = 0xff; p[26+3] = 0xff }, "end inside the directory"},
		"bzip2":            {put16(10, 12), "method 12 (bzip2)"},
		"unknown method":   {put16(10, 77), "method 77 (an unknown one)"},
		"encrypted":        {put16(8, 1), "encrypted"},
		"stored, it says":  {put16(10, 0), "damaged"},
	} {
		file := packed(t, "a.txt", text)
		c.change(file, directoryOf(file))
		d, err := zipinspect.ReadDirectory((&ranges{file: file}).open, int64(len(file)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var out bytes.Buffer
		err = d.Copy(&out, (&ranges{file: file}).open, d.Members[0])
		_, damaged := errors.AsType[*zipinspect.DamagedError](err)
		_, method := errors.AsType[*zipinspect.MethodError](err)
		if !damaged && !method || !strings.Contains(err.Error(), c.want) || int64(out.Len()) > d.Members[0].Size {
			t.Errorf("%s: %d bytes, %v", name, out.Len(), err)
		}
	}
}

// TestBomb: of a member that unpacks to 32 MiB but declares a kilobyte, only that comes out.
func TestBomb(t *testing.T) {
	t.Parallel()
	var deflated bytes.Buffer
	w, err := flate.NewWriter(&deflated, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(w, zeros{}, 1<<25); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	z := zip.NewWriter(&file)
	f, err := z.CreateRaw(&zip.FileHeader{Name: "bomb", Method: zip.Deflate, CRC32: crc32.ChecksumIEEE(make([]byte, 1024)),
		CompressedSize64: uint64(deflated.Len()), UncompressedSize64: 1024})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(deflated.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	r := &ranges{file: file.Bytes()}
	d, err := zipinspect.ReadDirectory(r.open, int64(file.Len()))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err = d.Copy(&out, r.open, d.Members[0])
	if _, ok := errors.AsType[*zipinspect.DamagedError](err); !ok || out.Len() != 1024 {
		t.Errorf("%d bytes, %v", out.Len(), err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestCopyFails: errors of the archive and of the output are told as they are, not as damage.
func TestCopyFails(t *testing.T) {
	t.Parallel()
	file := packed(t, "a.txt", strings.Repeat("the quick brown fox ", 500000))
	r := &ranges{file: file}
	d, err := zipinspect.ReadDirectory(r.open, int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	for name, open := range map[string]zipinspect.Range{
		"open": func(int64, int64) (io.ReadCloser, error) { return nil, broken },
		"read": func(offset, length int64) (io.ReadCloser, error) {
			if length == 30 {
				return r.open(offset, length)
			}
			return io.NopCloser(io.MultiReader(bytes.NewReader(file[offset:offset+100]), iotest.ErrReader(broken))), nil
		},
	} {
		if err := d.Copy(io.Discard, open, d.Members[0]); !errors.Is(err, broken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	cut := func(offset, length int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(file[offset : offset+min(length, 100)])), nil
	}
	err = d.Copy(io.Discard, cut, d.Members[0])
	if _, damaged := errors.AsType[*zipinspect.DamagedError](err); damaged || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut off: %v", err)
	}
	if err := d.Copy(writerOf(func([]byte) (int, error) { return 0, broken }), r.open, d.Members[0]); !errors.Is(err, broken) {
		t.Errorf("write: %v", err)
	}
	if _, err := zipinspect.ReadDirectory(cut, int64(len(file))+1000); err == nil {
		t.Error("a short range was accepted")
	}
}

type writerOf func([]byte) (int, error)

func (w writerOf) Write(p []byte) (int, error) { return w(p) }

// FuzzDirectory: whatever the bytes are, the directory read by ranges is that of the stream, or an error; and no
// member unpacks to more than it declares.
func FuzzDirectory(f *testing.F) {
	f.Add(packed(f, "a/b.txt", "some text, some text, some text", "c", ""))
	f.Add(many(f, 3, "comment"))
	f.Add(zipOf(f, 100))
	f.Fuzz(func(t *testing.T, file []byte) {
		open := func(offset, length int64) (io.ReadCloser, error) {
			if offset < 0 || length < 0 || length > int64(len(file))-offset {
				return nil, errors.New("outside")
			}
			return io.NopCloser(bytes.NewReader(file[offset : offset+length])), nil
		}
		want, err := zipinspect.Inspect(bytes.NewReader(file), true)
		if err != nil {
			t.Fatal(err)
		}
		d, err := zipinspect.ReadDirectory(open, int64(len(file)))
		if (err == nil) != (want.NotAPackage == nil) || !reflect.DeepEqual(d.Content, want.Content) {
			t.Fatalf("got %+v, %v; want %+v", d, err, want)
		}
		for _, m := range d.Members {
			var out countingWriter
			err := d.Copy(&out, open, m)
			if int64(out) > m.Size || err == nil && int64(out) != m.Size {
				t.Fatalf("%d bytes of %d: %v", out, m.Size, err)
			}
		}
	})
}

type countingWriter int64

func (w *countingWriter) Write(p []byte) (int, error) {
	*w += countingWriter(len(p))
	return len(p), nil
}
