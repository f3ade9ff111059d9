package archive_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"packhorse/internal/archive"
	"packhorse/internal/investigation"
	"packhorse/internal/memory"
)

func openWith(b *memory.Bucket, lock investigation.Lock) *archive.Archive {
	return archive.New(b, "evidence", lock, partSize, inFlight, clock, slog.New(slog.DiscardHandler))
}

// Every object gets the configured lock, and a tag if it belongs to a case. The bucket of the tests
// checks that each request has a checksum, without which S3 does not lock.
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
			b := memory.NewBucket()
			b.Locks = test.Mode != "" || test.LegalHold
			a := openWith(b, test)
			for _, body := range [][]byte{zipOf(t, size), make([]byte, size)} {
				_, _ = a.Store(t.Context(), placeOrQuarantine, packageOf(body))
			}
			if _, err := a.StoreManifest(t.Context(), "k.json", []byte("{}")); err != nil {
				t.Error(err)
			}
			if _, err := a.StoreSignature(t.Context(), "k.json.sig", []byte("s"), nil); err != nil {
				t.Error(err)
			}
			if len(b.Keys()) != 4 {
				t.Fatalf("%s: %d objects; calls: %s", name, len(b.Keys()), b)
			}
			for _, key := range b.Keys() {
				o := get(b, key)
				if string(o.Mode) != test.Mode || (o.Until != nil) != (test.Mode != "") ||
					o.Until != nil && !o.Until.Equal(retention.Until) ||
					(o.Hold == "ON") != test.LegalHold {
					t.Errorf("%s: %s is kept by %q until %v, hold %q", name, key, o.Mode, o.Until, o.Hold)
				}
				want := ""
				if strings.HasSuffix(key, ".zip") || strings.HasSuffix(key, ".bin") {
					want = "packhorse-case=INC+4711%2Fa"
				}
				if o.Tagging != want {
					t.Errorf("%s: %s has the tags %q, want %q", name, key, o.Tagging, want)
				}
			}
		}
	}
}

// A bucket that cannot lock is detected before anything is stored, and only if a lock is
// configured.
func TestReady(t *testing.T) {
	denied := func(denied string) func(string, int) error {
		return func(op string, _ int) error {
			if op == denied {
				return memory.Refusal(http.StatusForbidden, "AccessDenied")
			}
			return nil
		}
	}
	for name, test := range map[string]struct {
		lock  investigation.Lock
		locks bool
		fault func(string, int) error
		want  []string // substrings of the error; nil: no error
		calls string
	}{
		"no lock asked for":  {calls: "HeadBucket"},
		"lockable":           {lock: lock, locks: true, calls: "HeadBucket GetObjectLockConfiguration"},
		"only a hold":        {lock: investigation.Lock{LegalHold: true}, locks: true, calls: "HeadBucket GetObjectLockConfiguration"},
		"not lockable":       {lock: lock, want: []string{"s3://evidence", "with Object Lock", "OBJECT_LOCK_MODE=NONE"}, calls: "HeadBucket GetObjectLockConfiguration"},
		"no hold possible":   {lock: investigation.Lock{LegalHold: true}, want: []string{"no legal hold"}, calls: "HeadBucket GetObjectLockConfiguration"},
		"no bucket to look":  {lock: lock, fault: denied(memory.OpBucket), want: []string{"may this principal"}, calls: "HeadBucket"},
		"no look at locking": {lock: lock, fault: denied(memory.OpLock), want: []string{"s3://evidence", "s3:GetBucketObjectLockConfiguration"}, calls: "HeadBucket GetObjectLockConfiguration"},
	} {
		b := memory.NewBucket()
		b.Locks, b.Fault = test.locks, test.fault
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

// A denied request names the permissions it needs; a bucket without Object Lock gets advice.
func TestDeniedPut(t *testing.T) {
	for _, size := range []int{1000, 4 * partSize} {
		b := memory.NewBucket()
		b.Fault = func(op string, _ int) error {
			if op == memory.OpPut || op == memory.OpCreate {
				return memory.Refusal(http.StatusForbidden, "AccessDenied")
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
		b = memory.NewBucket()
		b.Locks = false
		_, err = open(b).Store(t.Context(), place, packageOf(zipOf(t, size)))
		if err == nil || !strings.Contains(err.Error(), "OBJECT_LOCK_MODE=NONE") {
			t.Errorf("%d bytes: no Object Lock: got %v", size, err)
		}
	}
}
