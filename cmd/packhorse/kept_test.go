package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// keptFolder is a data folder of November 2026: two packages, one of them beside a stranger, and one
// that was not collected, with keys, signatures and ledger. Its versions and locks are extended attributes.
const keptFolder = "testdata/kept-2026-11.tar.gz"

// startedIn is the folder that the tests were started in. Other tests, with a server, change the process's.
var startedIn, _ = os.Getwd()

// TestKeptFolderVerifies: evidence from an earlier version verifies, and a run continues where it stopped.
func TestKeptFolderVerifies(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	kept := filepath.Join(startedIn, keptFolder)
	out, err := exec.CommandContext(t.Context(), "tar", "--xattrs", "--xattrs-include=*", "-xzf", kept, "-C", dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	data := filepath.Join(dir, "data")
	for _, when := range []string{"as it was", "after a run"} {
		if when == "after a run" {
			got := packhorse(t, environment(simulator(t)), "run", "--until-idle", "--data", data)
			if got.code != exitDone || !strings.Contains(got.stdout, "3 done earlier") {
				t.Errorf("run: exit %d: %s%s", got.code, got.stdout, got.stderr)
			}
		}
		got := packhorse(t, nil, "verify", "--all", "--data", data)
		for _, want := range []string{
			"PASS: everything agrees", "chain 1 to 3, whole",
			"6fdd24e9371c279b42229eca46f3f5021bbf4c64cc6c4c02cc837aac93cc3785",
			"baa946f1f90d2cab4437349242e0a537db2e104abff33a1ff10a9d19eb2ca132", // the stranger
		} {
			if got.code != exitDone || !strings.Contains(got.stdout, want) {
				t.Errorf("%s: exit %d, without %q: %s%s", when, got.code, want, got.stdout, got.stderr)
			}
		}
	}
}
