package verify_test

import (
	"math/rand/v2"
	"testing"

	"packhorse/internal/verify"
)

// A failed read never hides tampering behind a PASS: for every way of tampering, with calls that fail at
// random, the verdict is FAIL, PARTIAL or an error.
func TestFailedReadDoesNotHideTampering(t *testing.T) {
	t.Parallel()
	whole := newWorld(t)
	trust := whole.Trust(t)
	for _, tt := range tamperings() {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(1, uint64(len(tt.name))))
			w := whole.Clone(t)
			tt.tell(t, w)
			for range 5 {
				f := &faulty{Archive: w.Store, TenantsLedger: w.Book, failAt: 1 + random.Int64N(90)}
				verdict, sum, err := f.run(t, trust, verify.Scope{})
				if err == nil && verdict != verify.Fail && verdict != verify.Partial {
					t.Errorf("call %d, %v, fails: %s; found %v", f.failAt, f.failed.Load(), verdict, sum.Findings)
				}
			}
		})
	}
}

// Tampering in one place does not hide tampering in another: each makes a problem of its own.
func TestTamperingDoesNotHideTampering(t *testing.T) {
	t.Parallel()
	whole := newWorld(t)
	trust := whole.Trust(t)
	for _, first := range tamperings() {
		t.Run(first.name, func(t *testing.T) {
			t.Parallel()
			w := whole.Clone(t)
			first.tell(t, w)
			alone := runOn(t, w.Store, trust, w.Book, verify.Scope{})
			flip(w, key(prefix, 1, ".zip")) // no way of tampering touches this one
			both := runOn(t, w.Store, trust, w.Book, verify.Scope{})
			if both.Verdict() != verify.Fail || len(both.Problems) != len(alone.Problems)+1 {
				t.Errorf("with a flipped byte elsewhere: %d problems, %d without", len(both.Problems), len(alone.Problems))
			}
		})
	}
}
