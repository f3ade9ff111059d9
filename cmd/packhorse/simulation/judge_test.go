package simulation_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"packhorse/cmd/packhorse/simulation"
	"packhorse/internal/investigation"
)

// ledger reports every action as done, or knows none.
type ledger struct{ done bool }

func (l ledger) Load(_ context.Context, ids []investigation.ID) ([]investigation.Record, error) {
	var found []investigation.Record
	for _, id := range ids {
		if l.done {
			found = append(found, investigation.Record{
				Action: investigation.Action{ID: id}, State: investigation.StateDone,
			})
		}
	}
	return found, nil
}

// resume returns the plan of the tenant served from a folder.
func resume(t *testing.T, dir string, actions int, l ledger) (plan string) {
	t.Helper()
	path := filepath.Join(dir, simulation.PlanFile)
	tenant, err := simulation.Resume(t.Context(), dir, "secret", simulation.Plan{Actions: actions, Sizes: []int64{1024}}, l)
	if err != nil {
		t.Fatal(err)
	}
	if err := tenant.Close(); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestResume: a plan is kept until all of its actions are done, whatever the caller asks for.
func TestResume(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := resume(t, dir, 1, ledger{})
	if again := resume(t, dir, 3, ledger{}); again != first {
		t.Errorf("the plan changed from %s to %s", first, again)
	}
	if next := resume(t, dir, 3, ledger{done: true}); next == first {
		t.Errorf("a finished plan was resumed: %s", next)
	}
	path := filepath.Join(dir, simulation.PlanFile)
	for _, seed := range []uint64{7, 8} { // a seed that somebody chose is the plan's
		tenant, err := simulation.Resume(t.Context(), dir, "secret",
			simulation.Plan{Seed: seed, Actions: 1}, ledger{done: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := tenant.Close(); err != nil {
			t.Error(err)
		}
		text, err := os.ReadFile(path)
		if want := fmt.Sprintf("\"seed\": %d,", seed); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s, %v, without %s", text, err, want)
		}
	}
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := simulation.Resume(t.Context(), dir, "secret", simulation.Plan{Actions: 1}, ledger{}); err == nil {
		t.Error("a damaged plan was accepted")
	}
}

// TestJudge: packages that the simulator did not serve are not compared, and a link outside a package is a leak.
func TestJudge(t *testing.T) {
	t.Parallel()
	plan := simulation.Plan{Seed: 1, StartedAt: time.Now(), Actions: 1, Sizes: []int64{1024}}
	tenant, err := simulation.Serve(t.Context(), "127.0.0.1:0", "127.0.0.1:0", plan, "secret", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tenant.Close() })
	earlier := recordOf(t, simulation.TenantID(), "earlier")
	all, err := tenant.Judge(simulation.Stored{
		Tenants: map[string]simulation.Outcome{simulation.TenantID(): {Records: []investigation.Record{earlier, {}}}},
		Folder:  t.TempDir(), File: func(investigation.Receipt) string { return "/nowhere" },
	})
	got := all[simulation.TenantID()]
	want := &simulation.Judgement{Passed: true, PerMinute: 2, ServedBeforeThis: 1, BrokenRules: []string{}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
}
