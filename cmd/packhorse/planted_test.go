package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"packhorse/cmd/packhorse/datafolder"
	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
)

// TestPlantedBefore stores a genuine package, with all its metadata, under the key of the next one before that is
// fetched. The real bytes are then stored next to it with a correct manifest that lists the stranger.
func TestPlantedBefore(t *testing.T) {
	t.Parallel()
	s := simulator(t, action(1))
	data := t.TempDir()
	first := packhorse(t, environment(s), "run", "--until-idle", "--json", "--data", data)
	events, _ := jsonLines(t, first)
	genuine := of("archived", events)[0]

	next := action(2)
	s.Add(next)
	key, err := investigation.KeyOf("packages/", investigation.Action{
		ID:        investigation.ID{TenantID: ledgerRecords(t, data)[0].TenantID, ActionID: next.ID},
		MachineID: next.MachineID, CreatedAt: next.CreatedAt,
	})
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(data, datafolder.S3, genuine.Bucket)
	planted := filepath.Join(folder, filepath.FromSlash(string(key)))
	if err := os.MkdirAll(filepath.Dir(planted), 0o700); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "cp", "--preserve=all",
		filepath.Join(folder, filepath.FromSlash(genuine.Key)), planted).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	before, err := os.ReadFile(planted)
	if err != nil {
		t.Fatal(err)
	}

	second := packhorse(t, environment(s), "run", "--until-idle", "--json", "--data", data)
	if second.code != exitDone {
		t.Fatalf("exit %d: %s", second.code, second.stderr)
	}
	events, _ = jsonLines(t, second)
	archived := of("archived", events)
	if len(archived) != 1 || archived[0].Key != investigation.Place(string(key), 1) {
		t.Fatalf("got %+v, want the package in the next place of %s", archived, key)
	}
	wantSize, want := s.Package(next.ID)
	if size, sum := stored(t, data, archived[0]); sum != want || size != wantSize || archived[0].SHA256 != want {
		t.Error("the real bytes are not in the bucket")
	}
	text, err := os.ReadFile(filepath.Join(folder, filepath.FromSlash(archived[0].ManifestKey)))
	if err != nil {
		t.Fatal(err)
	}
	m, err := manifest.Parse(text)
	if err != nil || m.Action.ID != next.ID || m.Object.SHA256 != want || len(m.Strangers) != 1 ||
		m.Strangers[0].Key != string(key) || m.Strangers[0].SHA256 != genuine.SHA256 {
		t.Errorf("the manifest says %s, %v", text, err)
	}
	if now, err := os.ReadFile(planted); err != nil || !bytes.Equal(now, before) {
		t.Errorf("the stranger was changed, %v", err)
	}
	var told struct{ Strangers []manifest.Stranger }
	for _, text := range lines(second.stdout) {
		if strings.Contains(text, `"event":"archived"`) {
			if err := json.Unmarshal([]byte(text), &told); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(told.Strangers) != 1 || told.Strangers[0].Key != string(key) {
		t.Errorf("the event names %+v", told.Strangers)
	}

	verified := packhorse(t, nil, "verify", "--all", "--data", data)
	if verified.code != exitDone || !strings.Contains(verified.stdout, "PASS") {
		t.Errorf("verify: exit %d, %s%s", verified.code, verified.stdout, verified.stderr)
	}
	listed := packhorse(t, nil, "list", "--json", "--data", data)
	for command, said := range map[string]string{"verify": verified.stdout + verified.stderr, "list": listed.stdout} {
		if !strings.Contains(said, string(key)) || !strings.Contains(said, genuine.SHA256) {
			t.Errorf("%s does not name the stranger: %s", command, said)
		}
	}
}
