package doctor_test

import (
	"context"
	"slices"
	"testing"

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
