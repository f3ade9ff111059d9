package verify_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/verify"
	"packhorse/internal/verify/verifytest"
)

var errNetwork = errors.New("the network is down")

// faulty fails the call number failAt to the archive or the ledger, in the given way. Calls count from 1.
type faulty struct {
	verify.Archive
	verify.TenantsLedger
	calls  atomic.Int64
	failAt int64
	body   func(io.Reader) io.Reader // how the bytes of Open fail; nil: Open itself does
	failed atomic.Value              // string: the call that failed
}

func (f *faulty) fails(call string) bool {
	if f.calls.Add(1) != f.failAt {
		return false
	}
	f.failed.Store(call)
	return true
}

func (f *faulty) About(ctx context.Context) (verify.About, error) {
	if f.fails("about") {
		return verify.About{}, errNetwork
	}
	return f.Archive.About(ctx)
}

func (f *faulty) List(ctx context.Context, prefix string) ([]verify.Object, error) {
	if f.fails("list " + prefix) {
		return nil, errNetwork
	}
	return f.Archive.List(ctx, prefix)
}

func (f *faulty) Open(ctx context.Context, key, version string) (io.ReadCloser, error) {
	fails := f.fails("open " + key)
	if fails && f.body == nil {
		return nil, errNetwork
	}
	body, err := f.Archive.Open(ctx, key, version)
	if err != nil || !fails {
		return body, err
	}
	return struct {
		io.Reader
		io.Closer
	}{f.body(body), body}, nil
}

func (f *faulty) Retention(ctx context.Context, key, version string) (investigation.Retention, error) {
	if f.fails("retention " + key) {
		return investigation.Retention{}, errNetwork
	}
	return f.Archive.Retention(ctx, key, version)
}

func (f *faulty) Head(ctx context.Context, tenantID string) (investigation.Head, error) {
	if f.fails("head " + tenantID) {
		return investigation.Head{}, errNetwork
	}
	return f.TenantsLedger.Head(ctx, tenantID)
}

func (f *faulty) Records(ctx context.Context, tenantID string) ([]investigation.Record, error) {
	if f.fails("records " + tenantID) {
		return nil, errNetwork
	}
	return f.TenantsLedger.Records(ctx, tenantID)
}

func (f *faulty) Tenants(ctx context.Context) ([]string, error) {
	if f.fails("tenants") {
		return nil, errNetwork
	}
	return f.TenantsLedger.Tenants(ctx)
}

// run verifies with one failed call. It returns the verdict, or an empty one with the error.
func (f *faulty) run(t *testing.T, trust verify.Trust, scope verify.Scope) (verify.Overall, verify.Summary, error) {
	t.Helper()
	sum, err := verify.New(f, trust, f, func() time.Time { return verifytest.VerifiedAt }, quiet{}).Run(t.Context(), scope)
	if err != nil {
		return "", sum, err
	}
	return sum.Verdict(), sum, nil
}

// quiet is a Reporter that ignores everything.
type quiet struct{}

func (quiet) Begin(int, int64)                                 {}
func (quiet) Reading(_ string, _ int64, r io.Reader) io.Reader { return r }
func (quiet) Checked(verify.Subject)                           {}
func (quiet) Found(verify.Finding)                             {}

// broken returns the ways in which bytes can fail to arrive, by name.
func broken() map[string]func(io.Reader) io.Reader {
	return map[string]func(io.Reader) io.Reader{
		"the call fails": nil,
		"the bytes break off with an error": func(r io.Reader) io.Reader {
			return io.MultiReader(io.LimitReader(r, 10), iotest.ErrReader(errNetwork))
		},
	}
}

// Whichever single call fails, the verdict is never PASS and never FAIL: nothing was found to be wrong, and
// not everything was seen. A call that must succeed ends the run with its error.
func TestUnreadableIsNeitherPassNorFail(t *testing.T) {
	t.Parallel()
	whole := newWorld(t)
	trust := whole.Trust(t)
	for name, body := range broken() {
		for _, scope := range []verify.Scope{{}, {Key: key(prefix, 2, ".zip")}} {
			t.Run(fmt.Sprintf("%s, %v", name, scope), func(t *testing.T) {
				t.Parallel()
				for n := int64(1); ; n++ {
					f := &faulty{Archive: whole.Store, TenantsLedger: whole.Book, failAt: n, body: body}
					verdict, sum, err := f.run(t, trust, scope)
					if f.calls.Load() < n {
						if n < 10 {
							t.Errorf("only %d calls were made", n)
						}
						return
					}
					switch {
					case err != nil && !errors.Is(err, errNetwork):
						t.Errorf("%v: got the error %v", f.failed.Load(), err)
					case err == nil && verdict != verify.Partial:
						t.Errorf("%v: %s, want PARTIAL: %s; known to be wrong: %v", f.failed.Load(), verdict, sum.Headline(),
							slices.DeleteFunc(sum.Findings, func(f verify.Finding) bool { return f.Unread }))
					}
				}
			})
		}
	}
}

// Bytes that end early without an error are missing, not unread: FAIL.
func TestTruncatedBytesFail(t *testing.T) {
	t.Parallel()
	whole := newWorld(t)
	trust := whole.Trust(t)
	for _, suffix := range []string{".zip", ".json", ".json.sig"} {
		w := whole.Clone(t)
		truncated := key(prefix, 2, suffix)
		body := w.Store.Body(truncated)
		w.Store.Change(truncated, slices.Clone(body[:len(body)-1]))
		sum := runOn(t, w.Store, trust, w.Book, verify.Scope{})
		if sum.Verdict() != verify.Fail || !slices.ContainsFunc(sum.Findings, func(f verify.Finding) bool {
			return strings.HasPrefix(f.Key, strings.TrimSuffix(key(prefix, 2, ""), "."))
		}) {
			t.Errorf("%s without its last byte: %s, %v", suffix, sum.Verdict(), sum.Findings)
		}
	}
}

// A context that ends stops the verification with its error, whatever was seen before.
func TestCanceledVerificationHasNoVerdict(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, after := range []int64{1, 5, 20} {
		ctx, cancel := context.WithCancel(t.Context())
		a := &stopping{Archive: w.Store, cancel: cancel, after: after}
		sum, err := verify.New(a, w.Trust(t), w.Book, func() time.Time { return verifytest.VerifiedAt }, quiet{}).Run(ctx, verify.Scope{})
		if !errors.Is(err, context.Canceled) || len(sum.Subjects) > 0 {
			t.Errorf("canceled after %d reads: got %d subjects, %v", after, len(sum.Subjects), err)
		}
		cancel()
	}
}

// stopping cancels the context at the given Open, and refuses from then on as a network client does.
type stopping struct {
	verify.Archive
	cancel func()
	after  int64
	opened atomic.Int64
}

func (s *stopping) Open(ctx context.Context, key, version string) (io.ReadCloser, error) {
	if s.opened.Add(1) == s.after {
		s.cancel()
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return s.Archive.Open(ctx, key, version)
}

// copyInto copies the newest objects of the world into a folder of another archive.
func copyInto(w *world, root string, into *verifytest.Store) {
	for k, versions := range w.Store.Objects {
		into.Put(root+k, bytes.Clone(versions[len(versions)-1].Body), investigation.Retention{})
	}
}

// A copy is found inside any folder, and its manifests verify there; what it lost is a gap, not a mismatch.
func TestCopyIsFoundInAnyFolder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, root := range []string{"copy/", "cases/INC-4711/export of 2026/"} {
		copied := &verifytest.Store{Objects: map[string][]verifytest.Version{}}
		copyInto(w, root, copied)
		copied.Put("readme.txt", []byte("not evidence"), investigation.Retention{})
		got, err := verify.Root(t.Context(), copied, "")
		if err != nil || got != root {
			t.Errorf("root: got %q, %v; want %q", got, err, root)
			continue
		}
		sum := runOn(t, verify.Under(copied, root), w.Trust(t), w.Book, verify.Scope{})
		if sum.Verdict() != verify.Partial || len(sum.Problems) > 0 || len(sum.Subjects) != 8 {
			t.Errorf("%q: %s, %d subjects, %v", root, sum.Verdict(), len(sum.Subjects), sum.Problems)
		}
	}
}

// Root refuses to guess: between two copies, and inside one.
func TestRootRefusesToGuess(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	two := &verifytest.Store{Objects: map[string][]verifytest.Version{}}
	copyInto(w, "monday/", two)
	copyInto(w, "tuesday/", two)
	_, err := verify.Root(t.Context(), two, "")
	if err == nil || !strings.Contains(err.Error(), "./monday/") || !strings.Contains(err.Error(), "./tuesday/") {
		t.Errorf("two copies: %v", err)
	}
	if root, err := verify.Root(t.Context(), two, "tuesday/"); err != nil || root != "tuesday/" {
		t.Errorf("one of the two, by name: %q, %v", root, err)
	}

	inside := &verifytest.Store{Objects: map[string][]verifytest.Version{}}
	for k, versions := range w.Store.Objects {
		if short, ok := strings.CutPrefix(k, prefix); ok {
			inside.Put(short, versions[len(versions)-1].Body, investigation.Retention{})
		}
	}
	_, err = verify.Root(t.Context(), inside, "")
	if err == nil || !strings.Contains(err.Error(), prefix) {
		t.Errorf("inside an archive: %v", err)
	}
}

// Without a readable manifest there is nothing to find the root by, and Root says what it was told.
func TestRootWithoutManifests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, change := range map[string]func(*verifytest.Store){
		"nothing stored":        func(s *verifytest.Store) { s.Objects = nil },
		"manifests not JSON":    everyManifest([]byte("{")),
		"manifests too large":   everyManifest(bytes.Repeat([]byte(" "), 2<<20)),
		"manifests of no place": everyManifest([]byte("{}")),
		"the network is down":   func(s *verifytest.Store) { s.Refuse = errNetwork },
	} {
		store := w.Store.Clone()
		change(store)
		if root, err := verify.Root(t.Context(), store, "start/"); err != nil || root != "start/" {
			t.Errorf("%s: got %q, %v", name, root, err)
		}
	}
	listless := &faulty{Archive: w.Store, failAt: 1}
	if _, err := verify.Root(t.Context(), listless, ""); !errors.Is(err, errNetwork) {
		t.Errorf("a listing that fails: %v", err)
	}
}

func everyManifest(text []byte) func(*verifytest.Store) {
	return func(s *verifytest.Store) {
		for k := range s.Objects {
			if strings.HasSuffix(k, ".json") {
				s.Change(k, text)
			}
		}
	}
}

// unreadableKey is an archive in which one key cannot be read.
type unreadableKey struct {
	verify.Archive
	key string
}

func (u unreadableKey) Open(ctx context.Context, key, version string) (io.ReadCloser, error) {
	if key == u.key {
		return nil, errNetwork
	}
	return u.Archive.Open(ctx, key, version)
}

// A manifest that cannot be read explains a gap of one, with or without a ledger. It explains no other.
func TestUnreadManifestExplainsOnlyItsOwnGap(t *testing.T) {
	t.Parallel()
	whole := newWorld(t)
	trust := whole.Trust(t)
	for _, tt := range []struct {
		name    string
		removed int // the action whose files are gone as well; 0: none
		ledger  bool
		want    verify.Overall
	}{
		{"with the ledger", 0, true, verify.Partial},
		{"without a ledger", 0, false, verify.Partial},
		{"with the ledger, another is gone", 3, true, verify.Fail},
		{"without a ledger, its neighbor is gone", 3, false, verify.Fail},
		{"without a ledger, one elsewhere is gone", 4, false, verify.Fail},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := whole.Clone(t)
			for k := range w.Store.Objects {
				if tt.removed > 0 && strings.Contains(k, actionID(tt.removed)) {
					delete(w.Store.Objects, k)
				}
			}
			var ledger verify.Ledger
			if tt.ledger {
				ledger = w.Book
			}
			sum := runOn(t, unreadableKey{w.Store, key(prefix, 2, ".json")}, trust, ledger, verify.Scope{TenantID: tenant})
			if sum.Verdict() != tt.want || sum.Tenants[0].Chain.Unread != 1 {
				t.Errorf("%s, want %s: %+v, %v", sum.Verdict(), tt.want, sum.Tenants[0].Chain, sum.Findings)
			}
		})
	}
}
