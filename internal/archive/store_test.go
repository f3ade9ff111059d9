package archive_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"packhorse/internal/archive"
	"packhorse/internal/investigation"
	"packhorse/internal/memory"
)

// Parts are small in the tests; the in-memory bucket allows it.
const (
	partSize = 64 << 10
	inFlight = 2
)

const key = investigation.Key("packages/t/m/20261124T090000Z_a.zip")

var action = investigation.Action{
	ID: investigation.ID{TenantID: "t", ActionID: "a"}, MachineID: "m", CaseID: "INC 4711/a",
}

const quarantine = investigation.Key("quarantine/t/m/20261124T090000Z_a.bin")

var (
	instant = time.Date(2026, 11, 24, 9, 0, 0, 123456789, time.FixedZone("CET", 3600))
	clock   = func() time.Time { return instant }
	lock    = investigation.Lock{Mode: "GOVERNANCE", For: 24 * time.Hour, LegalHold: true}

	retention = investigation.Retention{
		Mode: "GOVERNANCE", Until: time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC), LegalHold: true,
	}
	link = investigation.Exchange{
		AskedAt: instant.Add(-2 * time.Second).UTC(), AnsweredAt: instant.Add(-time.Second).UTC(),
		Host: "api.security.microsoft.com", TLSVersion: "TLS 1.3", RequestID: "r-1",
	}
	download = investigation.Exchange{
		AskedAt: instant.Add(-time.Second).UTC(), AnsweredAt: instant.UTC(),
		Host: "x.blob.core.windows.net", TLSVersion: "TLS 1.2",
		CertificateSHA256: strings.Repeat("ab", 32), RequestID: "r-2", CorrelationID: "c-2",
	}
	collection = investigation.Collection{Attempt: 3, Link: link, Download: download}

	place = investigation.Placement{
		Key: key, Action: action, Claim: "ada", Collection: collection,
	}
	placeOrQuarantine = investigation.Placement{
		Key: key, Quarantine: quarantine, Action: action, Claim: "ada", Collection: place.Collection,
	}

	// record is the action at its third attempt, claimed by ada.
	record = investigation.Record{Action: action, Claims: "eve bob ada"}
)

// get returns the newest version of an object, or nil.
func get(b *memory.Bucket, key string) memory.Object {
	o, _ := b.Get(key)
	return o
}

// receiptOf is the receipt of a body that came in one piece.
func receiptOf(body []byte) investigation.Receipt {
	sum := sha256.Sum256(body)
	return investigation.Receipt{
		Bucket: "evidence", Key: string(key), VersionID: "v1", Size: int64(len(body)),
		SHA256: hex.EncodeToString(sum[:]), CRC32C: memory.CRC32C(body), Retention: retention,
	}
}

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

func open(b *memory.Bucket) *archive.Archive {
	return archive.New(b, "evidence", lock, partSize, inFlight, clock, slog.New(slog.DiscardHandler))
}

func store(ctx context.Context, b *memory.Bucket, body []byte, declared int64) (
	investigation.Stored, error,
) {
	return storeAt(ctx, b, place, body, declared)
}

func storeAt(ctx context.Context, b *memory.Bucket, place investigation.Placement, body []byte,
	declared int64,
) (investigation.Stored, error) {
	pkg := packageOf(body)
	pkg.Size = declared
	return open(b).Store(ctx, place, pkg)
}

func packageOf(body []byte) investigation.Package {
	return investigation.Package{
		Size: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)),
	}
}

// checkNothing fails if the bucket has an object or an unfinished upload.
func checkNothing(t *testing.T, b *memory.Bucket) {
	t.Helper()
	if len(b.Keys()) != 0 || b.Uploads() != 0 {
		t.Errorf("%d objects and %d uploads were left; calls: %s", len(b.Keys()), b.Uploads(), b)
	}
}

func TestStoredWholeAtEverySize(t *testing.T) {
	overhead := len(zipOf(t, 0))
	for _, size := range []int{
		0, 1, partSize - overhead - 2, partSize - overhead, partSize, 3 * partSize, 7*partSize + 12345,
	} {
		for _, declared := range []bool{true, false} {
			b, body := memory.NewBucket(), zipOf(t, size)
			length := investigation.SizeUnknown
			if declared {
				length = int64(len(body))
			}
			got, err := store(t.Context(), b, body, length)
			if err != nil {
				t.Fatalf("%d bytes: %v", len(body), err)
			}
			want := investigation.Stored{
				Receipt: receiptOf(body), Collection: collection, Content: investigation.Content{
					Entries: 2, UncompressedSize: int64(size / 2 * 2), TopLevel: []string{"Autoruns/", "Processes/"},
				},
			}
			if len(body) >= partSize {
				want.Receipt.PartSize = partSize
			}
			if !reflect.DeepEqual(got, want) || !bytes.Equal(get(b, string(key)).Body, body) {
				t.Errorf("%d bytes: got %+v, want %+v", len(body), got, want)
			}
			if inParts := b.Count(memory.OpCreate) > 0; inParts != (len(body) >= partSize) {
				t.Errorf("%d bytes, in parts: %t", len(body), inParts)
			}
			if b.Uploads() != 0 {
				t.Errorf("%d bytes: an upload was left", len(body))
			}
		}
	}
}

// Bytes that are not a package are not stored, and the error says whose fault it is.
func TestNeverStored(t *testing.T) {
	small, large := zipOf(t, 1000), zipOf(t, 4*partSize)
	reset := errors.New("connection reset")
	for name, test := range map[string]struct {
		body     []byte
		declared int64
		broken   error // ends the body
		want     error
	}{
		"empty":                 {declared: 0, want: investigation.ErrNotAPackage},
		"a page, small":         {body: []byte("<html>sign in</html>"), want: investigation.ErrNotAPackage},
		"a page, large":         {body: bytes.Repeat([]byte("<p>"), 2*partSize), want: investigation.ErrNotAPackage},
		"cut, small":            {body: small[:900], want: investigation.ErrNotAPackage},
		"cut, large":            {body: large[:len(large)-7], want: investigation.ErrNotAPackage},
		"shorter, small":        {body: small, declared: 5000, want: io.ErrUnexpectedEOF},
		"shorter, large":        {body: large, declared: 1 << 30, want: io.ErrUnexpectedEOF},
		"longer, small":         {body: small, declared: 1010, want: investigation.ErrNotAPackage},
		"longer, large":         {body: large, declared: int64(len(large) - 1), want: investigation.ErrNotAPackage},
		"broken off, small":     {body: small[:500], broken: reset, want: reset},
		"broken off, in part 3": {body: large[:2*partSize+17], broken: reset, want: reset},
	} {
		t.Run(name, func(t *testing.T) {
			b := memory.NewBucket()
			source := io.Reader(bytes.NewReader(test.body))
			if test.broken != nil {
				source = io.MultiReader(source, iotest.ErrReader(test.broken))
			}
			declared := test.declared
			if declared == 0 && name != "empty" {
				declared = investigation.SizeUnknown
			}
			_, err := open(b).Store(t.Context(), place,
				investigation.Package{Size: declared, Body: io.NopCloser(source)})
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			checkNothing(t, b)
			if b.Count(memory.OpPut)+b.Count(memory.OpComplete) != 0 {
				t.Errorf("a commit was tried: %s", b)
			}
		})
	}
}

// If the same claim already stored the package, the same bytes succeed. Other bytes, or another
// claim's object, are not replaced: the package needs another place.
func TestThereAlready(t *testing.T) {
	for _, size := range []int{1000, 4 * partSize} {
		b, body := memory.NewBucket(), zipOf(t, size)
		first, err := store(t.Context(), b, body, int64(len(body)))
		if err != nil {
			t.Fatal(err)
		}
		second, err := store(t.Context(), b, body, int64(len(body)))
		if err != nil || !reflect.DeepEqual(second, first) {
			t.Errorf("the same bytes again: got %+v, %v, want %+v", second, err, first)
		}
		other := zipOf(t, size+2)
		_, err = store(t.Context(), b, other, int64(len(other)))
		if !errors.Is(err, investigation.ErrStartAgain) {
			t.Errorf("other bytes: got %v", err)
		}
		others := place
		others.Claim = "mallory"
		_, err = storeAt(t.Context(), b, others, body, int64(len(body)))
		if !errors.Is(err, investigation.ErrStartAgain) {
			t.Errorf("another claim: got %v", err)
		}
		if !bytes.Equal(get(b, string(key)).Body, body) || b.Versions(string(key)) != 1 || b.Uploads() != 0 {
			t.Errorf("the object was replaced, or an upload left: %s", b)
		}
	}
}

// The commit succeeded and only its answer was lost: Store succeeds.
func TestLostAnswer(t *testing.T) {
	for op, size := range map[string]int{memory.OpPut: 1000, memory.OpComplete: 4 * partSize} {
		b, body := memory.NewBucket(), zipOf(t, size)
		b.After = func(called string, _ int) error {
			if called == op {
				return io.ErrClosedPipe
			}
			return nil
		}
		got, err := store(t.Context(), b, body, int64(len(body)))
		if err != nil || got.Receipt.Size != int64(len(body)) || got.Content.Entries != 2 || got.Receipt.Retention != retention {
			t.Errorf("%s: got %+v, %v", op, got, err)
		}
	}
}

// Somebody else's object is there, and then gone: nothing is known, so everything is sent again.
func TestThereForAMoment(t *testing.T) {
	for op, size := range map[string]int{memory.OpPut: 1000, memory.OpComplete: 4 * partSize} {
		b, body := memory.NewBucket(), zipOf(t, size)
		b.Fault = func(called string, _ int) error {
			if called == op {
				return memory.Refusal(http.StatusPreconditionFailed, "PreconditionFailed")
			}
			return nil
		}
		_, err := store(t.Context(), b, body, int64(len(body)))
		if !errors.Is(err, investigation.ErrStartAgain) {
			t.Errorf("%s: got %v, want ErrStartAgain", op, err)
		}
		checkNothing(t, b)
	}
}

// Another writer holds the key for a moment (409): a put is repeated from memory; an upload returns
// ErrStartAgain.
func TestAnotherWriter(t *testing.T) {
	conflict := memory.Refusal(http.StatusConflict, "ConditionalRequestConflict")
	for name, test := range map[string]struct {
		op        string
		size      int
		conflicts int
		want      error
	}{
		"put, for a moment": {memory.OpPut, 1000, archive.PutsMax - 1, nil},
		"put, for good":     {memory.OpPut, 1000, 1000, conflict},
		"completion":        {memory.OpComplete, 4 * partSize, 1, investigation.ErrStartAgain},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, body := memory.NewBucket(), zipOf(t, test.size)
				b.Fault = func(op string, n int) error {
					if op == test.op && n <= test.conflicts {
						return conflict
					}
					return nil
				}
				_, err := store(t.Context(), b, body, int64(len(body)))
				if !errors.Is(err, test.want) || (test.want == nil && err != nil) {
					t.Errorf("got %v, want %v", err, test.want)
				}
				if test.want != nil {
					checkNothing(t, b)
				}
			})
		})
	}
}

// Whatever fails on the way, the upload is aborted; if that fails too, the error reports both.
func TestFailedOnTheWay(t *testing.T) {
	for code, advice := range map[string]string{
		"AccessDenied": "may this principal", "NoSuchBucket": "create the bucket",
		"InsufficientStorage": "free some space",
	} {
		for _, op := range []string{memory.OpCreate, memory.OpPart, memory.OpComplete} {
			b, body := memory.NewBucket(), zipOf(t, 6*partSize)
			b.Fault = func(called string, n int) error {
				if called == op && (op != memory.OpPart || n == 3) {
					return memory.Refusal(http.StatusForbidden, code)
				}
				return nil
			}
			_, err := store(t.Context(), b, body, int64(len(body)))
			if err == nil || !strings.Contains(err.Error(), advice) ||
				!strings.Contains(err.Error(), string(key)) {
				t.Errorf("%s of %s: the error does not help: %v", code, op, err)
			}
			checkNothing(t, b)
		}
	}
	b, body := memory.NewBucket(), zipOf(t, 6*partSize)
	b.Fault = func(op string, _ int) error {
		switch op {
		case memory.OpPart:
			return memory.Refusal(http.StatusForbidden, "AccessDenied")
		case memory.OpAbort:
			return memory.Refusal(http.StatusServiceUnavailable, "SlowDown")
		}
		return nil
	}
	_, err := store(t.Context(), b, body, int64(len(body)))
	if err == nil || !strings.Contains(err.Error(), "AccessDenied") ||
		!strings.Contains(err.Error(), "SlowDown") {
		t.Errorf("one of the two failures is not told: %v", err)
	}
}

// The abort outlives the context that ended the upload.
func TestCancelled(t *testing.T) {
	b, body := memory.NewBucket(), zipOf(t, 6*partSize)
	stopped := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	source := io.MultiReader(bytes.NewReader(body[:3*partSize]), readerFunc(func([]byte) (int, error) {
		cancel(stopped)
		return 0, context.Canceled
	}))
	_, err := open(b).Store(ctx, place,
		investigation.Package{Size: investigation.SizeUnknown, Body: io.NopCloser(source)})
	if !errors.Is(err, stopped) {
		t.Errorf("got %v, want the cause", err)
	}
	checkNothing(t, b)
	if b.Count(memory.OpAbort) != 1 {
		t.Errorf("the upload was aborted %d times: %s", b.Count(memory.OpAbort), b)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// Failed uploads return their buffers, or a later one would wait forever.
func TestBuffersComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.NewBucket()
		a := open(b)
		body := zipOf(t, 5*partSize)
		for range 3 * inFlight {
			for _, op := range []string{memory.OpCreate, memory.OpPart, memory.OpComplete, "none"} {
				b.Fault = func(called string, _ int) error {
					if called == op {
						return memory.Refusal(http.StatusInternalServerError, "InternalError")
					}
					return nil
				}
				for _, source := range [][]byte{body, body[:4*partSize+1], body[:100]} {
					_, _ = a.Store(t.Context(), place, investigation.Package{
						Size: investigation.SizeUnknown, Body: io.NopCloser(bytes.NewReader(source)),
					})
				}
			}
		}
		if got := get(b, string(key)).Body; !bytes.Equal(got, body) {
			t.Error("the good one among them was not stored")
		}
	})
}
