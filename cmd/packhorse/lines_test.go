package main

import (
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"packhorse/internal/mde/mdesim"
	"packhorse/internal/strictschema"
)

// TestLinesAreDescribed runs the commands and validates every line they write against docs/lines. Their events, of
// a run with every outcome and of the commands that read its ledger and archive, are all there.
func TestLinesAreDescribed(t *testing.T) {
	t.Parallel()
	set, err := strictschema.LoadSet(filepath.Join(startedIn, "..", "..", "docs", "lines"), "event")
	if err != nil {
		t.Fatal(err)
	}
	failed, offline := action(2), action(3)
	failed.Steps = mdesim.Ending(time.Minute, "Failed")
	offline.Steps = mdesim.Succeeding(48 * time.Hour) // not within the test
	s := simulator(t, action(1), failed, offline)
	data := t.TempDir()
	run := packhorse(t, environment(s), "run", "--until-idle", "--json", "--data", data)
	if run.code != exitDone {
		t.Fatalf("exit %d: %s", run.code, run.stderr)
	}
	for _, c := range []struct { // what opens the archive is a process: while its server runs, nobody else may print
		of     outcome
		events []string
	}{
		{run, []string{"archived", "budget", "downloading", "fetching", "notCollected", "ready", "summary", "sweep", "waiting"}},
		{packhorse(t, nil, "verify", "--json", "--data", data), []string{"checked", "verified"}},
		{inProcess(nil, "list", "--json", "--data", data), []string{"record"}},
		{packhorse(t, environment(s), "doctor", "--json", "--data", data), []string{"check", "doctor"}},
		{packhorse(t, nil, "doctor", "--json", "--data", data), []string{"check", "doctor"}},
		{inProcess(nil, "status", "--json", "--data", data), []string{"status"}},
		{packhorse(t, nil, "show", "--json", "--data", data, action(1).ID), []string{"package"}},
		{packhorse(t, nil, "get", "--json", "--data", data, action(1).ID, "-o", t.TempDir()), []string{"checked", "got"}},
		{packhorse(t, nil, "get", "--json", "--data", data, action(2).ID, "-o", t.TempDir()), []string{"checked", "got"}},
		{packhorse(t, nil, "export", "--json", "--data", data, "--all", "-o", filepath.Join(t.TempDir(), "x")),
			[]string{"checked", "exported"}},
		{inProcess(nil, "list", "--json", "--data", data, "--case", "NONE"), nil},
		{packhorse(t, nil, "verify", "--json", "--data", data, "--tenant", "0b1c2d3e-4f50-4617-8293-a4b5c6d7e8f9"),
			[]string{"verified"}},
	} {
		seen := map[string]bool{}
		for _, line := range lines(c.of.stdout) {
			name, err := set.Check([]byte(line))
			if err != nil {
				t.Errorf("%v in %s", err, line)
			}
			seen[name] = true
		}
		if got := slices.Sorted(maps.Keys(seen)); !slices.Equal(got, c.events) {
			t.Errorf("got the events %q, want %q: %s", got, c.events, c.of.stderr)
		}
	}
}
