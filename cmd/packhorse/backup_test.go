package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"packhorse/cmd/packhorse/datafolder"
)

// TestBackup: a data folder copied with its attributes verifies as before, and runs continue in it.
func TestBackup(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	simulate := func(data string) outcome { // one package, so that the budget lets the next one through
		return packhorse(t, nil, "run", "--simulate", "1", "--package-size", "1KiB", "--until-idle", "--data", data)
	}
	if got := simulate(data); got.code != exitDone {
		t.Fatalf("exit %d: %s", got.code, got.stderr)
	}
	for name, script := range map[string]string{
		"cp":  `cp -a "$1" "$2"`,
		"tar": `mkdir "$2" && tar --xattrs --xattrs-include='*' -C "$1" -cf - . | tar --xattrs --xattrs-include='*' -C "$2" -xf -`,
	} {
		restored := filepath.Join(t.TempDir(), "restored")
		out, err := exec.CommandContext(t.Context(), "sh", "-c", script, "sh", data, restored).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
		got := packhorse(t, nil, "verify", "--data", restored)
		if got.code != exitDone || !strings.Contains(got.stdout, "PASS: everything agrees; 1 manifest") {
			t.Errorf("%s: exit %d: %s\n%s", name, got.code, got.stdout, got.stderr)
		}
		got = simulate(restored)
		if got.code != exitDone {
			t.Errorf("%s: going on: exit %d: %s\n%s", name, got.code, got.stdout, got.stderr)
		}
		got = packhorse(t, nil, "verify", "--data", restored)
		if got.code != exitDone || !strings.Contains(got.stdout, "1 to 2, whole") {
			t.Errorf("%s: afterwards: exit %d: %s\n%s", name, got.code, got.stdout, got.stderr)
		}
	}
}

// TestLostAttributes: a copy without attributes is verified as far as possible, and nothing is written to it.
func TestLostAttributes(t *testing.T) {
	t.Parallel()
	data := simulated(t)
	lost := filepath.Join(t.TempDir(), "it's lost")
	if err := os.CopyFS(lost, os.DirFS(data)); err != nil {
		t.Fatal(err)
	}
	// On file systems without extended attributes, they are stored in a sibling folder.
	if err := os.RemoveAll(filepath.Join(lost, "metadata-of-"+datafolder.S3)); err != nil {
		t.Fatal(err)
	}
	got := packhorse(t, nil, "verify", "--data", lost)
	if got.code != exitPartial || !strings.Contains(got.stdout, "not checked: version, lock;") ||
		!strings.Contains(got.stderr, "PARTIAL: what was checked agrees. Not checked: version, lock "+
			"(attributes lost in copying") {
		t.Errorf("verify: exit %d: %s\n%s", got.code, got.stdout, got.stderr)
	}
	got = packhorse(t, nil, "verify", "--data", lost, "--require", "all")
	if got.code != exitFailed || !strings.Contains(got.stderr, "the required check version could not be made") {
		t.Errorf("verify --require all: exit %d: %s", got.code, got.stderr)
	}
	key := listed(t, data)[0].Key
	got = packhorse(t, nil, "custody", key, "--data", lost)
	if got.code != exitPartial || !strings.Contains(got.stdout, "PARTIAL on") {
		t.Errorf("custody: exit %d: %s\n%s", got.code, got.stdout, got.stderr)
	}
	before := files(t, lost)
	got = packhorse(t, nil, "run", "--simulate", "1", "--until-idle", "--data", lost)
	if got.code != exitFailed || !strings.Contains(got.stderr, "attributes lost in copying") ||
		!strings.Contains(got.stderr, `cp -a ORIGINAL '`+strings.ReplaceAll(lost, "'", `'\''`)+`'`) ||
		strings.Contains(got.stderr, "INTERNAL ERROR") {
		t.Errorf("run: exit %d: %s", got.code, got.stderr)
	}
	if after := files(t, lost); after != before {
		t.Errorf("the archive contains %s, want %s", after, before)
	}
}

// files lists the files in the archive of a data folder.
func files(t *testing.T, data string) string {
	t.Helper()
	var all []string
	err := filepath.Walk(filepath.Join(data, datafolder.S3), func(path string, _ os.FileInfo, err error) error {
		all = append(all, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, "\n")
}
