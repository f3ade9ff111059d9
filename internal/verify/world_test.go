package verify_test

import (
	"testing"

	"packhorse/internal/verify"
	"packhorse/internal/verify/verifytest"
)

// Short names for the tests, which use them on almost every line.
type world = verifytest.World

const (
	tenant  = verifytest.Tenant
	tenant2 = verifytest.Tenant2
	prefix  = verifytest.Prefix
)

var lock = verifytest.Lock

func newWorld(t testing.TB) *world { t.Helper(); return verifytest.New(t) }

func key(folder string, n int, suffix string) string { return verifytest.Key(folder, n, suffix) }

func actionID(n int) string { return verifytest.ActionID(n) }

func zipped(t testing.TB, text string) []byte { t.Helper(); return verifytest.Zipped(t, text) }

func runOn(t testing.TB, a verify.Archive, trust verify.Trust, ledger verify.Ledger,
	scope verify.Scope,
) verify.Summary {
	t.Helper()
	return verifytest.RunOn(t, a, trust, ledger, scope)
}

// versionGone is a delete marker.
func versionGone() verifytest.Version { return verifytest.Version{ID: "gone", Deleted: true} }
