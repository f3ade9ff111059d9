package doctor_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"packhorse/internal/doctor"
)

// TestRun: a check runs after those it needs, and is skipped if one of them failed or was skipped.
func TestRun(t *testing.T) {
	t.Parallel()
	is := func(f doctor.Finding) func(context.Context) doctor.Finding {
		return func(context.Context) doctor.Finding { return f }
	}
	checks := []doctor.Check{
		{Name: "after bad", After: []string{"bad"}, Run: is(doctor.Good("ran"))},
		{Name: "after skipped", After: []string{"after bad"}, Run: is(doctor.Good("ran"))},
		{Name: "unless bad", After: []string{"so-so"}, Unless: []string{"bad"}, Run: is(doctor.Good("ran"))},
		{Name: "unless skipped", Unless: []string{"after bad", "elsewhere"}, Run: is(doctor.Good("ran"))},
		{Name: "bad", Run: is(doctor.Fail("mend it", "it is broken"))},
		{Name: "so-so", Run: is(doctor.Warn("look", "it is old"))},
		{Name: "after so-so", After: []string{"so-so", "elsewhere"}, Run: is(doctor.Good("ran"))},
	}
	told := 0
	results := doctor.Run(t.Context(), checks, func(doctor.Result) { told++ })
	var states []doctor.State
	for _, r := range results {
		states = append(states, r.State)
	}
	want := []doctor.State{doctor.Skipped, doctor.Skipped, doctor.Skipped, doctor.OK, doctor.Failed, doctor.Warning, doctor.OK}
	if !slices.Equal(states, want) || told != len(checks) {
		t.Errorf("got %v, told %d", states, told)
	}
	if results[0].Text != "needs bad, which failed" {
		t.Errorf("got %q", results[0].Text)
	}
}

// TestRunDoesNotHang: a check that ignores its context, because a disk hangs, is skipped after a while, and those
// that need it are as well.
func TestRunDoesNotHang(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		checks := []doctor.Check{
			{Name: "hangs", Run: func(context.Context) doctor.Finding {
				<-hang
				return doctor.Good("at last")
			}},
			{Name: "after", After: []string{"hangs"}, Run: func(context.Context) doctor.Finding { return doctor.Good("ran") }},
			{Name: "beside", Run: func(context.Context) doctor.Finding { return doctor.Good("ran") }},
		}
		began := time.Now()
		results := doctor.Run(t.Context(), checks, func(doctor.Result) {})
		if took := time.Since(began); took > time.Minute {
			t.Errorf("it took %s", took)
		}
		if results[0].State != doctor.Skipped || results[0].Text != "no answer within 40 s" ||
			results[1].State != doctor.Skipped || results[2].State != doctor.OK {
			t.Errorf("got %+v", results)
		}
		close(hang)
	})
}

// TestInterruptedRun: an interruption skips what is under way, whatever its Run makes of that.
func TestInterruptedRun(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	checks := []doctor.Check{{Name: "slow", Run: func(ctx context.Context) doctor.Finding {
		cancel()
		<-ctx.Done()
		return doctor.Skip("", "cannot look: %v", ctx.Err())
	}}}
	if r := doctor.Run(ctx, checks, func(doctor.Result) {})[0]; r.State != doctor.Skipped || r.Text != "interrupted" {
		t.Errorf("got %+v", r)
	}
}
