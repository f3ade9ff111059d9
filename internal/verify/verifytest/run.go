package verifytest

import (
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"packhorse/internal/custody"
	"packhorse/internal/verify"
)

// Trust returns all keys in the folder of the signing key, earlier ones included.
func (w *World) Trust(t testing.TB) verify.Trust {
	t.Helper()
	files, err := custody.LocalKeyFiles(w.Keys)
	if err != nil {
		t.Fatal(err)
	}
	var trust verify.Trust
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		keys, err := custody.ParseLocalKeys(filepath.Base(file), text)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range keys {
			trust.Add(key, file)
		}
	}
	return trust
}

// silent is a Reporter that only counts.
type silent struct {
	mu      sync.Mutex
	begun   int
	checked int
	found   int
}

func (s *silent) Begin(int, int64)                                 { s.add(&s.begun) }
func (s *silent) Reading(_ string, _ int64, r io.Reader) io.Reader { return r }
func (s *silent) Checked(verify.Subject)                           { s.add(&s.checked) }
func (s *silent) Found(verify.Finding)                             { s.add(&s.found) }

func (s *silent) add(n *int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*n++
}

// VerifiedAt is the time of every verification.
var VerifiedAt = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

// Run verifies with the ledger, and fails the test if the reporter saw something other than the summary.
func (w *World) Run(t testing.TB, scope verify.Scope) verify.Summary {
	t.Helper()
	return RunOn(t, w.Store, w.Trust(t), w.Book, scope)
}

// RunOn is like Run, for any archive.
func RunOn(t testing.TB, a verify.Archive, trust verify.Trust, ledger verify.Ledger,
	scope verify.Scope,
) verify.Summary {
	t.Helper()
	reporter := &silent{}
	sum, err := verify.New(a, trust, ledger, func() time.Time { return VerifiedAt }, reporter).
		Run(t.Context(), scope)
	if err != nil {
		t.Fatal(err)
	}
	if reporter.found != len(sum.Findings) || reporter.checked != len(sum.Subjects) || reporter.begun != 1 {
		t.Errorf("reported: %d findings of %d, %d subjects of %d, begun %d times", reporter.found,
			len(sum.Findings), reporter.checked, len(sum.Subjects), reporter.begun)
	}
	return sum
}

// First returns the root cause of the first problem, or nil.
func First(sum verify.Summary) error {
	if len(sum.Problems) == 0 {
		return nil
	}
	return sum.Problems[0].Finding
}
