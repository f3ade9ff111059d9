package verify_test

import (
	"slices"
	"testing"

	"packhorse/internal/investigation"
	"packhorse/internal/verify"
	"packhorse/internal/verify/verifytest"
)

// A file below the archive's folders that is no evidence is a stray. Elsewhere in the bucket it is only counted.
func TestStrayIsTheFileBelowTheArchivesFolders(t *testing.T) {
	t.Parallel()
	whole := newWorld(t)
	trust := whole.Trust(t)
	for at, stray := range map[string]bool{
		"packages/notes.txt":                           true,
		"packages/" + tenant + "/notes.txt":            true,
		"not-collected/x":                              true,
		"quarantine/" + tenant + "/y/z.bin":            true,
		"signing-keys/readme.md":                       true,
		"signing-keys/old/key.pub":                     true,
		key(prefix, 2, ".zip") + ".part":               true,
		"notes.txt":                                    false,
		"packages.txt":                                 false,
		"other/packages/notes.txt":                     false,
		tenant + "/notes.txt":                          false,
		"packages-of-2025/" + tenant + "/notes.txt":    false,
		"other/" + verifytest.Machine + "/summary.txt": false,
	} {
		for _, deleted := range []bool{false, true} {
			w := whole.Clone(t)
			w.Store.Put(at, []byte("x"), investigation.Retention{})
			if deleted {
				w.Store.Objects[at] = append(w.Store.Objects[at], verifytest.Version{ID: "v2", Deleted: true})
			}
			sum := runOn(t, w.Store, trust, w.Book, verify.Scope{})
			var want []string
			others := 0
			switch {
			case deleted:
			case stray:
				want = []string{at}
			default:
				others = 1
			}
			if got := strays(sum); !slices.Equal(got, want) || sum.Others != others ||
				len(sum.Findings) != len(want) {
				t.Errorf("%s, deleted %t: got %q and %d others, want %q and %d", at, deleted, sum.Findings,
					sum.Others, want, others)
			}
			// Somebody who asks about one tenant is not told about files that belong to none.
			if sum := runOn(t, w.Store, trust, w.Book, verify.Scope{TenantID: tenant2}); sum.Verdict() != verify.Pass {
				t.Errorf("%s, one tenant: %s, %q", at, sum.Verdict(), sum.Findings)
			}
		}
	}
}

// strays returns the keys of the stray findings.
func strays(sum verify.Summary) []string {
	var keys []string
	for _, f := range sum.Findings {
		if f.Check == verify.CheckStray {
			keys = append(keys, f.Key)
		}
	}
	return keys
}

// The summary names every tenant with objects, whatever the scope, but not one whose objects are all deleted.
func TestPresentTenantsAreThoseWithObjects(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, scope := range []verify.Scope{{}, {TenantID: tenant}, {TenantID: "00000000-0000-4000-8000-000000000000"}} {
		if got := w.Run(t, scope).Present; !slices.Equal(got, []string{tenant2, tenant}) {
			t.Errorf("%v: %v", scope, got)
		}
	}
	for k := range w.Store.Objects {
		if n, ok := investigation.ParseKey(k); ok && n.TenantID == tenant2 {
			w.Store.Objects[k] = append(w.Store.Objects[k], verifytest.Version{ID: "v2", Deleted: true})
			w.Store.Objects[k] = w.Store.Objects[k][1:]
		}
	}
	if sum := w.Run(t, verify.Scope{}); !slices.Equal(sum.Present, []string{tenant}) || sum.Verdict() != verify.Fail {
		t.Errorf("only delete markers: %v, %s", sum.Present, sum.Verdict())
	}
}
