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
)

// What S3 itself knows is enough to say, after a crash, all that was known before it.
func TestStored(t *testing.T) {
	for _, size := range []int{1000, 4 * partSize} {
		b, body := newBucket(), zipOf(t, size)
		if _, err := open(b).Stored(t.Context(), key); !errors.Is(err, investigation.ErrNotStored) {
			t.Errorf("of nothing: got %v", err)
		}
		want, err := store(t.Context(), b, body, int64(len(body)))
		if err != nil {
			t.Fatal(err)
		}
		b.calls = nil
		got, err := open(b).Stored(t.Context(), key)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
		if b.String() != "HeadObject GetObject" {
			t.Errorf("calls: %s", b)
		}
	}
}

// An object that was altered, or that somebody else put there, is not taken for what was stored.
func TestStoredOtherwise(t *testing.T) {
	for _, size := range []int{1000, 4 * partSize} {
		b, body := newBucket(), zipOf(t, size)
		if _, err := store(t.Context(), b, body, int64(len(body))); err != nil {
			t.Fatal(err)
		}
		good := b.objects[string(key)]
		altered := good
		altered.body = bytes.Clone(body)
		altered.body[size/2] ^= 1
		b.objects[string(key)] = altered
		_, err := open(b).Stored(t.Context(), key)
		if _, ok := errors.AsType[*archive.ConflictError](err); !ok {
			t.Errorf("an altered object: got %v", err)
		}
		if size == 1000 { // also if S3 has the sum of the altered bytes
			altered.crc = crcOf(altered.body)
			b.objects[string(key)] = altered
			_, err = open(b).Stored(t.Context(), key)
			if _, ok := errors.AsType[*archive.ConflictError](err); !ok {
				t.Errorf("another object with our metadata: got %v", err)
			}
		}
		for name, metadata := range map[string]map[string]string{
			"none":   nil,
			"broken": {"packhorse-action-id": "a", "packhorse-collection": "{"},
			"a time": {"packhorse-action-id": "a", "packhorse-collection": `{"link":{"asked":"noon"}}`},
		} {
			foreign := good
			foreign.metadata = metadata
			b.objects[string(key)] = foreign
			_, err = open(b).Stored(t.Context(), key)
			if err == nil || !strings.Contains(err.Error(), "move it away") {
				t.Errorf("metadata %s: got %v", name, err)
			}
		}
	}
}

// An object of an earlier version has no collection, and may be one that is refused now.
func TestStoredEarlier(t *testing.T) {
	b := newBucket()
	body := append([]byte("PK\x03\x04"), many(t, 0, "")...)
	b.objects[string(key)] = object{
		body: body, crc: crcOf(body), contentType: "application/zip",
		metadata: map[string]string{"packhorse-action-id": "a"},
	}
	got, err := open(b).Stored(t.Context(), key)
	want := receiptOf(body)
	want.Retention = investigation.Retention{}
	if err != nil || got.Receipt != want || got.Collection != (investigation.Collection{}) ||
		len(got.Content.Remarks) != 1 ||
		!strings.HasPrefix(got.Content.Remarks[0], "It would not be stored now: ") {
		t.Errorf("got %+v, %v", got, err)
	}
}

// What came in a package's place is kept where it was said to be, once, whole and locked, and
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
		b := newBucket()
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
		o := b.objects[string(quarantine)]
		if len(b.objects) != 1 || len(b.uploads) != 0 || !bytes.Equal(o.body, test.body) ||
			o.contentType != "application/octet-stream" {
			t.Errorf("%s: it is not kept: %s", name, b)
		}
		if test.calls == "" && (b.count(opCreate) != 2 || b.count(opComplete) != 1 ||
			b.count(opAbort) != 1 || b.count(opPart) != 2*((len(test.body)+partSize-1)/partSize)) ||
			test.calls != "" && b.String() != test.calls {
			t.Errorf("%s: calls: %s", name, b)
		}
		read, err := open(b).Stored(t.Context(), quarantine)
		if err != nil || !reflect.DeepEqual(read, want) {
			t.Errorf("%s: read back: got %+v, %v", name, read, err)
		}
	}
}

// A package has nothing in quarantine, and what did not come whole is kept nowhere.
func TestNothingInQuarantine(t *testing.T) {
	for _, size := range []int{1000, 4 * partSize} {
		b, body := newBucket(), zipOf(t, size)
		if _, err := storeAt(t.Context(), b, placeOrQuarantine, body, int64(len(body))); err != nil {
			t.Fatal(err)
		}
		if len(b.objects) != 1 || len(b.uploads) != 0 || b.objects[string(key)].body == nil {
			t.Errorf("%d bytes: calls: %s", size, b)
		}
		b = newBucket()
		_, err := storeAt(t.Context(), b, placeOrQuarantine, body, int64(len(body)+1))
		if err == nil || errors.Is(err, investigation.ErrNotAPackage) {
			t.Errorf("a byte is missing: got %v", err)
		}
		checkNothing(t, b)
	}
}

// Something is in quarantine already: it stays, and is what is told of.
func TestQuarantineThereAlready(t *testing.T) {
	for _, size := range []int{1000, 4 * partSize} {
		b := newBucket()
		body, other := bytes.Repeat([]byte("x"), size), bytes.Repeat([]byte("y"), size)
		first, err := storeAt(t.Context(), b, placeOrQuarantine, body, int64(size))
		if !errors.Is(err, investigation.ErrNotAPackage) {
			t.Fatal(err)
		}
		for _, again := range [][]byte{body, other} {
			got, err := storeAt(t.Context(), b, placeOrQuarantine, again, int64(size))
			if !errors.Is(err, investigation.ErrNotAPackage) || !reflect.DeepEqual(got, first) {
				t.Errorf("%d bytes of %q: got %+v, %v", size, again[0], got, err)
			}
			if len(b.objects) != 1 || len(b.uploads) != 0 ||
				!bytes.Equal(b.objects[string(quarantine)].body, body) {
				t.Errorf("%d bytes of %q: calls: %s", size, again[0], b)
			}
		}
	}
}

// Where it could not be kept, nobody may take the matter for settled.
func TestQuarantineFails(t *testing.T) {
	for name, test := range map[string]struct {
		op    string
		size  int
		nth   int
		code  int
		again bool
	}{
		"put":             {opPut, 1000, 1, http.StatusForbidden, false},
		"first creation":  {opCreate, 4 * partSize, 1, http.StatusForbidden, false},
		"second creation": {opCreate, 4 * partSize, 2, http.StatusForbidden, false},
		"a part":          {opPart, 4 * partSize, 4, http.StatusForbidden, false},
		"completion":      {opComplete, 4 * partSize, 1, http.StatusForbidden, false},
		"another writer":  {opComplete, 4 * partSize, 1, http.StatusConflict, true},
	} {
		b := newBucket()
		b.fault = func(op string, n int) error {
			if op == test.op && n == test.nth {
				return refusal(test.code, "Refused")
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

// A package that is committed is stored, even if the other upload cannot be taken away.
func TestAbortAfterCommit(t *testing.T) {
	b, body := newBucket(), zipOf(t, 4*partSize)
	b.fault = func(op string, _ int) error {
		if op == opAbort {
			return refusal(http.StatusServiceUnavailable, "SlowDown")
		}
		return nil
	}
	got, err := storeAt(t.Context(), b, placeOrQuarantine, body, int64(len(body)))
	if err != nil || got.Receipt.Size != int64(len(body)) || b.count(opAbort) != 1 {
		t.Errorf("got %+v, %v; calls: %s", got, err, b)
	}
}

// A collection survives its way into the metadata, cut to what S3 takes (the bucket of the tests
// sees to that), whatever is in it.
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
			b, body := newBucket(), zipOf(t, size)
			place := placeOrQuarantine
			place.Action.ActionID, place.Action.TenantID = strings.Repeat("a", 40), strings.Repeat("a", 40)
			place.Action.MachineID, place.Collection = strings.Repeat("a", 40), c
			stored, err := storeAt(t.Context(), b, place, body, int64(len(body)))
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			got, err := open(b).Stored(t.Context(), key)
			if err != nil || !reflect.DeepEqual(got, stored) {
				t.Errorf("%s: got %+v, %v, want %+v", name, got, err, stored)
			}
		}
	}
}
