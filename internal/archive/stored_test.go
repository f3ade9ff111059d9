package archive_test

import (
	"bytes"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"packhorse/internal/archive"
	"packhorse/internal/investigation"
	"packhorse/internal/memory"
)

// look returns the result of looking at a key.
func look(t *testing.T, b *memory.Bucket, key investigation.Key) investigation.Found {
	t.Helper()
	found, err := open(b).Look(t.Context(), record, key, false)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// S3 alone has enough facts to recover, after a crash, everything known before it.
func TestLook(t *testing.T) {
	for _, size := range []int{1000, 4 * partSize} {
		b, body := memory.NewBucket(), zipOf(t, size)
		if got := look(t, b, key); !reflect.DeepEqual(got, investigation.Found{Free: key}) {
			t.Errorf("at nothing: got %+v", got)
		}
		if b.String() != "ListObjectVersions" {
			t.Errorf("calls: %s", b)
		}
		want, err := store(t.Context(), b, body, int64(len(body)))
		if err != nil {
			t.Fatal(err)
		}
		b.Forget()
		got := look(t, b, key)
		if got.Stored == nil || !reflect.DeepEqual(*got.Stored, want) || len(got.Strangers) > 0 {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if b.String() != "ListObjectVersions HeadObject HeadObject GetObject" {
			t.Errorf("calls: %s", b)
		}
	}
}

// An object of ours that newer rules would refuse stays stored, with a note.
func TestLookAtWhatWouldBeRefused(t *testing.T) {
	b := memory.NewBucket()
	body := []byte("PK\x03\x04PK\x05\x06" + strings.Repeat("\x00", 18))
	b.Plant(string(key), memory.Object{
		Body: body, ContentType: "application/zip", Metadata: metadataOf("ada"),
	})
	got := look(t, b, key)
	if got.Stored == nil || got.Stored.Collection != (investigation.Collection{}) ||
		len(got.Stored.Content.Remarks) != 1 ||
		!strings.HasPrefix(got.Stored.Content.Remarks[0], "It would not be stored now: ") {
		t.Errorf("got %+v", got)
	}
}

// Bytes that are not a package are quarantined under the given key, once, whole and locked, and
// nothing is left under the package's key.
func TestQuarantine(t *testing.T) {
	large := zipOf(t, 4*partSize)
	for name, test := range map[string]struct {
		body  []byte
		calls string
	}{
		"empty":  {nil, "PutObject"},
		"a page": {[]byte("<html>sign in</html>"), "PutObject"},
		"a part": {bytes.Repeat([]byte("x"), partSize), ""},
		"large":  {large[:len(large)-7], ""},
	} {
		b := memory.NewBucket()
		got, err := storeAt(t.Context(), b, placeOrQuarantine, test.body, int64(len(test.body)))
		if !errors.Is(err, investigation.ErrNotAPackage) {
			t.Errorf("%s: got %v", name, err)
		}
		want := investigation.Stored{Receipt: receiptOf(test.body), Collection: collection}
		want.Receipt.Key = string(quarantine)
		if len(test.body) >= partSize {
			want.Receipt.PartSize = partSize
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
		o := get(b, string(quarantine))
		if len(b.Keys()) != 1 || b.Uploads() != 0 || !bytes.Equal(o.Body, test.body) ||
			o.ContentType != "application/octet-stream" {
			t.Errorf("%s: not quarantined: %s", name, b)
		}
		if test.calls == "" && (b.Count(memory.OpCreate) != 2 || b.Count(memory.OpComplete) != 1 ||
			b.Count(memory.OpAbort) != 1 || b.Count(memory.OpPart) != 2*((len(test.body)+partSize-1)/partSize)) ||
			test.calls != "" && b.String() != test.calls {
			t.Errorf("%s: calls: %s", name, b)
		}
		read := look(t, b, quarantine)
		if read.Stored == nil || !reflect.DeepEqual(*read.Stored, want) {
			t.Errorf("%s: read back: got %+v", name, read)
		}
	}
}

// A package is not quarantined, and incomplete bytes are not kept at all.
func TestNothingInQuarantine(t *testing.T) {
	for _, size := range []int{1000, 4 * partSize} {
		b, body := memory.NewBucket(), zipOf(t, size)
		if _, err := storeAt(t.Context(), b, placeOrQuarantine, body, int64(len(body))); err != nil {
			t.Fatal(err)
		}
		if len(b.Keys()) != 1 || b.Uploads() != 0 || get(b, string(key)).Body == nil {
			t.Errorf("%d bytes: calls: %s", size, b)
		}
		b = memory.NewBucket()
		_, err := storeAt(t.Context(), b, placeOrQuarantine, body, int64(len(body)+1))
		if err == nil || errors.Is(err, investigation.ErrNotAPackage) {
			t.Errorf("a byte is missing: got %v", err)
		}
		checkNothing(t, b)
	}
}

// This claim already quarantined an object: the same bytes are accepted, others need another place.
func TestQuarantineThereAlready(t *testing.T) {
	for _, size := range []int{1000, 4 * partSize} {
		b := memory.NewBucket()
		body, other := bytes.Repeat([]byte("x"), size), bytes.Repeat([]byte("y"), size)
		first, err := storeAt(t.Context(), b, placeOrQuarantine, body, int64(size))
		if !errors.Is(err, investigation.ErrNotAPackage) {
			t.Fatal(err)
		}
		got, err := storeAt(t.Context(), b, placeOrQuarantine, body, int64(size))
		if !errors.Is(err, investigation.ErrNotAPackage) || !reflect.DeepEqual(got, first) {
			t.Errorf("%d bytes again: got %+v, %v", size, got, err)
		}
		_, err = storeAt(t.Context(), b, placeOrQuarantine, other, int64(size))
		if !errors.Is(err, investigation.ErrStartAgain) || errors.Is(err, investigation.ErrNotAPackage) {
			t.Errorf("%d other bytes: got %v", size, err)
		}
		if len(b.Keys()) != 1 || b.Uploads() != 0 || !bytes.Equal(get(b, string(quarantine)).Body, body) {
			t.Errorf("%d bytes: calls: %s", size, b)
		}
	}
}

// If the quarantine fails, callers must not treat the action as done.
func TestQuarantineFails(t *testing.T) {
	for name, test := range map[string]struct {
		op    string
		size  int
		nth   int
		code  int
		again bool
	}{
		"put":             {memory.OpPut, 1000, 1, http.StatusForbidden, false},
		"first creation":  {memory.OpCreate, 4 * partSize, 1, http.StatusForbidden, false},
		"second creation": {memory.OpCreate, 4 * partSize, 2, http.StatusForbidden, false},
		"a part":          {memory.OpPart, 4 * partSize, 4, http.StatusForbidden, false},
		"completion":      {memory.OpComplete, 4 * partSize, 1, http.StatusForbidden, false},
		"another writer":  {memory.OpComplete, 4 * partSize, 1, http.StatusConflict, true},
	} {
		b := memory.NewBucket()
		b.Fault = func(op string, n int) error {
			if op == test.op && n == test.nth {
				return memory.Refusal(test.code, "Refused")
			}
			return nil
		}
		body := bytes.Repeat([]byte("x"), test.size)
		got, err := storeAt(t.Context(), b, placeOrQuarantine, body, int64(len(body)))
		if err == nil || errors.Is(err, investigation.ErrNotAPackage) ||
			!reflect.DeepEqual(got, investigation.Stored{}) ||
			errors.Is(err, investigation.ErrStartAgain) != test.again {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
		checkNothing(t, b)
	}
}

// A committed package is stored, even if the other upload cannot be aborted.
func TestAbortAfterCommit(t *testing.T) {
	b, body := memory.NewBucket(), zipOf(t, 4*partSize)
	b.Fault = func(op string, _ int) error {
		if op == memory.OpAbort {
			return memory.Refusal(http.StatusServiceUnavailable, "SlowDown")
		}
		return nil
	}
	got, err := storeAt(t.Context(), b, placeOrQuarantine, body, int64(len(body)))
	if err != nil || got.Receipt.Size != int64(len(body)) || b.Count(memory.OpAbort) != 1 {
		t.Errorf("got %+v, %v; calls: %s", got, err, b)
	}
}

// A collection survives the conversion to metadata, cut to the length S3 accepts (which the bucket
// of the tests checks), whatever it contains.
func TestCollectionMetadata(t *testing.T) {
	for name, text := range map[string]string{
		"nothing": "", "plain": "r-1", "long": strings.Repeat("x", 5000),
		"ä": strings.Repeat("ä", 500), "beyond the BMP": strings.Repeat("😀", 100),
		"no text": "\xff\xfe", "controls": strings.Repeat("\x00\n\x7f", 200),
		"quotes": strings.Repeat(`"\<&>`, 200), "separators": "\u2028\u2029",
	} {
		e := investigation.Exchange{
			AskedAt: instant, AnsweredAt: time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC),
			Host: text, TLSVersion: text, CertificateSHA256: text, RequestID: text, CorrelationID: text,
		}
		c := investigation.Collection{Attempt: 1 << 40, Link: e, Download: e}
		written, err := archive.WriteCollection(c, 1<<40)
		if err != nil {
			t.Fatal(err)
		}
		read, part, err := archive.ReadCollection(written)
		if err != nil || part != 1<<40 || read.Attempt != 1<<40 ||
			!read.Link.AskedAt.Equal(instant) || read.Link != read.Download {
			t.Errorf("%s: got %+v, %v", name, read, err)
		}
		again, err := archive.WriteCollection(read, 1<<40)
		if err != nil || again != written {
			t.Errorf("%s: written again: %s, %v, want %s", name, again, err, written)
		}
		for _, size := range []int{1000, 4 * partSize} {
			b, body := memory.NewBucket(), zipOf(t, size)
			place := placeOrQuarantine
			place.Action.ActionID, place.Action.TenantID = strings.Repeat("a", 40), strings.Repeat("a", 40)
			place.Action.MachineID, place.Collection = strings.Repeat("a", 40), c
			stored, err := storeAt(t.Context(), b, place, body, int64(len(body)))
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			rec := record
			rec.Action = place.Action
			got, err := open(b).Look(t.Context(), rec, key, false)
			if err != nil || got.Stored == nil || !reflect.DeepEqual(*got.Stored, stored) {
				t.Errorf("%s: got %+v, %v, want %+v", name, got, err, stored)
			}
		}
	}
}
