package archive_test

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"packhorse/internal/archive"
	"packhorse/internal/investigation"
)

func openWith(b *bucket, lock investigation.Lock) *archive.Archive {
	return archive.New(b, "evidence", lock, partSize, inFlight, clock, slog.New(slog.DiscardHandler))
}

// Everything that is written is locked as was said, and tagged if it belongs to a case. (That
// there is a checksum each time, without which S3 locks nothing, the bucket of the tests sees to.)
func TestLocked(t *testing.T) {
	for name, test := range map[string]investigation.Lock{
		"nothing":    {},
		"no mode":    {For: time.Hour},
		"governance": {Mode: "GOVERNANCE", For: 24 * time.Hour},
		"compliance": {Mode: "COMPLIANCE", For: 24 * time.Hour},
		"hold":       {LegalHold: true},
		"both":       lock,
	} {
		for _, size := range []int{1000, 4 * partSize} {
			b := newBucket()
			b.locks = test.Mode != "" || test.LegalHold
			a := openWith(b, test)
			for _, body := range [][]byte{zipOf(t, size), make([]byte, size)} {
				_, _ = a.Store(t.Context(), placeOrQuarantine, packageOf(body))
			}
			if err := a.StoreManifest(t.Context(), "k.json", []byte("{}")); err != nil {
				t.Error(err)
			}
			if err := a.StoreSignature(t.Context(), "k.json.sig", []byte("s"), nil); err != nil {
				t.Error(err)
			}
			if len(b.objects) != 4 {
				t.Fatalf("%s: %d objects; calls: %s", name, len(b.objects), b)
			}
			for key, o := range b.objects {
				if string(o.mode) != test.Mode || (o.until != nil) != (test.Mode != "") ||
					o.until != nil && !o.until.Equal(retention.Until) ||
					(o.hold == "ON") != test.LegalHold {
					t.Errorf("%s: %s is kept by %q until %v, hold %q", name, key, o.mode, o.until, o.hold)
				}
				want := ""
				if strings.HasSuffix(key, ".zip") || strings.HasSuffix(key, ".bin") {
					want = "packhorse-case=INC+4711%2Fa"
				}
				if o.tagging != want {
					t.Errorf("%s: %s has the tags %q, want %q", name, key, o.tagging, want)
				}
			}
		}
	}
}

// A bucket that cannot lock is found out before anything is stored, and only where that matters.
func TestReady(t *testing.T) {
	denied := func(denied string) func(string, int) error {
		return func(op string, _ int) error {
			if op == denied {
				return refusal(http.StatusForbidden, "AccessDenied")
			}
			return nil
		}
	}
	for name, test := range map[string]struct {
		lock  investigation.Lock
		locks bool
		fault func(string, int) error
		want  []string // what the error says; none: no error
		calls string
	}{
		"no lock asked for":  {calls: "HeadBucket"},
		"lockable":           {lock: lock, locks: true, calls: "HeadBucket GetObjectLockConfiguration"},
		"only a hold":        {lock: investigation.Lock{LegalHold: true}, locks: true, calls: "HeadBucket GetObjectLockConfiguration"},
		"not lockable":       {lock: lock, want: []string{"s3://evidence", "with Object Lock", "OBJECT_LOCK_MODE=NONE"}, calls: "HeadBucket GetObjectLockConfiguration"},
		"no hold possible":   {lock: investigation.Lock{LegalHold: true}, want: []string{"no legal hold"}, calls: "HeadBucket GetObjectLockConfiguration"},
		"no bucket to look":  {lock: lock, fault: denied(opBucket), want: []string{"may this principal"}, calls: "HeadBucket"},
		"no look at locking": {lock: lock, fault: denied(opLock), want: []string{"s3://evidence", "s3:GetBucketObjectLockConfiguration"}, calls: "HeadBucket GetObjectLockConfiguration"},
	} {
		b := newBucket()
		b.locks, b.fault = test.locks, test.fault
		err := openWith(b, test.lock).Ready(t.Context())
		if (err != nil) != (len(test.want) > 0) || b.String() != test.calls {
			t.Errorf("%s: got %v; calls: %s", name, err, b)
		}
		for _, want := range test.want {
			if err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want %q", name, err, want)
			}
		}
	}
}

// What is denied names the rights that the request takes; a bucket without Object Lock what to do.
func TestDeniedPut(t *testing.T) {
	for _, size := range []int{1000, 4 * partSize} {
		b := newBucket()
		b.fault = func(op string, _ int) error {
			if op == opPut || op == opCreate {
				return refusal(http.StatusForbidden, "AccessDenied")
			}
			return nil
		}
		_, err := open(b).Store(t.Context(), place, packageOf(zipOf(t, size)))
		for _, want := range []string{
			"s3:PutObjectRetention", "s3:PutObjectLegalHold", "s3:PutObjectTagging", string(key),
		} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%d bytes: got %v, want %q", size, err, want)
			}
		}
		b = newBucket()
		b.locks = false
		_, err = open(b).Store(t.Context(), place, packageOf(zipOf(t, size)))
		if err == nil || !strings.Contains(err.Error(), "OBJECT_LOCK_MODE=NONE") {
			t.Errorf("%d bytes: no Object Lock: got %v", size, err)
		}
	}
}

// A manifest is written once. The same bytes again are a success, others a conflict.
func TestManifest(t *testing.T) {
	b := newBucket()
	for _, test := range []struct {
		body  string
		fits  bool
		calls string
	}{
		{`{"a":1}`, true, "PutObject"},
		{`{"a":1}`, true, "PutObject GetObject"},
		{`{"a":2}`, false, "PutObject GetObject"},
	} {
		b.calls = nil
		err := open(b).StoreManifest(t.Context(), "k.json", []byte(test.body))
		conflict, ok := errors.AsType[*archive.ConflictError](err)
		if (err == nil) != test.fits || ok == test.fits || b.String() != test.calls {
			t.Errorf("%s: got %v; calls: %s", test.body, err, b)
		}
		if ok && (conflict.Key != "k.json" || !strings.Contains(err.Error(), "k.json holds other bytes")) {
			t.Errorf("got %v", err)
		}
		if o := b.objects["k.json"]; string(o.body) != `{"a":1}` || o.contentType != "application/json" {
			t.Errorf("got %s", o.body)
		}
	}
	huge := b.objects["k.json"]
	huge.body = make([]byte, 3<<20)
	b.objects["k.json"] = huge
	err := open(b).StoreManifest(t.Context(), "k.json", []byte("{}"))
	conflict, ok := errors.AsType[*archive.ConflictError](err)
	if !ok || conflict.Stored.Size != 3<<20 {
		t.Errorf("a huge one: got %v", err)
	}
	if err := open(b).StoreManifest(t.Context(), "k.pem", []byte("key")); err != nil ||
		b.objects["k.pem"].contentType != "application/x-pem-file" {
		t.Errorf("a public key: %v, %s", err, b.objects["k.pem"].contentType)
	}
}

// A signature is written once. Another that is valid is a success.
func TestSignature(t *testing.T) {
	bad := errors.New("not by this key")
	var asked []string
	valid := func(signature []byte) error {
		asked = append(asked, string(signature))
		if string(signature) != "one" {
			return bad
		}
		return nil
	}
	b := newBucket()
	for _, signature := range []string{"one", "two"} {
		if err := open(b).StoreSignature(t.Context(), "k.json.sig", []byte(signature), valid); err != nil {
			t.Error(err)
		}
	}
	if string(b.objects["k.json.sig"].body) != "one" || len(asked) != 1 || asked[0] != "one" ||
		b.objects["k.json.sig"].contentType != "application/octet-stream" {
		t.Errorf("asked about %q, stored %q", asked, b.objects["k.json.sig"].body)
	}
	if b.String() != "PutObject PutObject GetObject" {
		t.Errorf("calls: %s", b)
	}
	o := b.objects["k.json.sig"]
	o.body = make([]byte, 1<<20)
	b.objects["k.json.sig"] = o
	err := open(b).StoreSignature(t.Context(), "k.json.sig", []byte("three"), valid)
	if !errors.Is(err, bad) || !strings.Contains(err.Error(), "k.json.sig") || len(asked[1]) > 65<<10 {
		t.Errorf("got %v", err)
	}
}
