package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"packhorse/cmd/packhorse/console"
	"packhorse/cmd/packhorse/datafolder"
	"packhorse/internal/custody"
	"packhorse/internal/manifest"
	"packhorse/internal/mde/mdesim"
)

// realTenant is any tenant but the simulator's.
const realTenant = "3c9f8f6e-52d4-4a3e-9b5c-0e8a4b1f7d21"

// realSimulator serves actions like a real tenant, with a different tenant id.
func realSimulator(t *testing.T, actions ...mdesim.Action) (*mdesim.Server, []string) {
	t.Helper()
	config := mdesim.Defaults()
	config.TenantID = realTenant
	s, err := mdesim.Start(t.Context(), config, time.Now, "127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	for _, a := range actions {
		s.Add(a)
	}
	return s, environment(s, "DEFENDER_TENANT_ID", realTenant)
}

// entries returns the names of the files in a folder.
func entries(t *testing.T, dir string) (names []string) {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		names = append(names, e.Name())
	}
	return names
}

// TestOpenFolder: if others can access the data folder or the signing key, the command fails before doing
// anything and prints the command that fixes it.
func TestOpenFolder(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		folder, key fs.FileMode // key 0 means no key
		says        string      // of the folder; empty means it is accepted
	}{
		"anybody may write":        {folder: 0o777, says: "(mode 0777): chmod 700 %s"},
		"the group may write":      {folder: 0o770, says: "(mode 0770): chmod 700 %s"},
		"others may look":          {folder: 0o755, says: "(mode 0755): chmod 700 %s"},
		"a key for all to read":    {folder: 0o700, key: 0o644, says: "(mode 0644), who could sign: chmod 600"},
		"a key for the group":      {folder: 0o700, key: 0o640, says: "(mode 0640), who could sign: chmod 600"},
		"a folder for nobody else": {folder: 0o700, key: 0o400},
	} {
		data := filepath.Join(t.TempDir(), "it's data")
		if err := os.Mkdir(data, 0o700); err != nil {
			t.Fatal(err)
		}
		var want []string
		if c.key != 0 {
			want = []string{custody.LocalKeyFile, "signing-key.pub.pem"}
			if _, err := custody.OpenLocal(data); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(filepath.Join(data, custody.LocalKeyFile), c.key); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(data, c.folder); err != nil {
			t.Fatal(err)
		}
		if c.says == "" {
			if err := datafolder.Check(t.Context(), data, datafolder.Origin{}, slog.New(slog.DiscardHandler)); err != nil {
				t.Errorf("%s: got %v", name, err)
			}
			continue
		}
		// Nobody listens there: requesting a token would fail and retry.
		environ := []string{"DEFENDER_TENANT_ID=" + realTenant, "DEFENDER_CLIENT_ID=" + realTenant,
			"DEFENDER_CLIENT_SECRET=x", "DEFENDER_AUTHORITY_URL=https://127.0.0.1:1"}
		says := c.says
		if strings.Contains(says, "%s") {
			says = fmt.Sprintf(says, filepath.Dir(console.ShellQuote(data))+`/it'\''s data'`)
		}
		for _, mode := range [][]string{{}, {"--simulate", "1"}} {
			got := inProcess(environ, append([]string{"run", "--until-idle", "--data", data}, mode...)...)
			if got.code != exitUsage || got.stdout != "" || len(lines(got.stderr)) != 1 ||
				!strings.Contains(got.stderr, says) {
				t.Errorf("%s: exit %d, %q; want %q", name, got.code, got.stderr, says)
			}
		}
		if got := entries(t, data); !slices.Equal(got, want) {
			t.Errorf("%s: the folder contains %q", name, got)
		}
	}
}

// TestNoMixing: evidence and a simulation never share a folder, whichever came first, and only simulated
// packages are marked.
func TestNoMixing(t *testing.T) {
	t.Parallel()
	s, environ := realSimulator(t, action(1))
	evidence, made := filepath.Join(t.TempDir(), "evidence"), filepath.Join(t.TempDir(), "made-up")

	real := packhorse(t, environ, "run", "--until-idle", "--json", "--data", evidence)
	if real.code != exitDone || strings.Contains(real.stdout, "simulated") {
		t.Fatalf("exit %d: %s%s", real.code, real.stdout, real.stderr)
	}
	simulated := packhorse(t, nil, "run", "--simulate", "1", "--package-size", "300KiB", "--until-idle", "--json",
		"--data", made)
	if simulated.code != exitDone {
		t.Fatalf("exit %d: %s", simulated.code, simulated.stderr)
	}
	for _, text := range lines(simulated.stdout) {
		if !strings.Contains(text, `"simulated":true`) {
			t.Errorf("the line is not marked: %s", text)
		}
	}
	for data, want := range map[string]bool{evidence: false, made: true} {
		found := 0
		for _, m := range manifests(t, data) {
			found++
			if m.Simulated != want {
				t.Errorf("%s: a manifest says simulated %t", data, m.Simulated)
			}
		}
		if found != 1 {
			t.Errorf("%s: %d manifests", data, found)
		}
	}

	tokens := s.Judge().Verdict().Calls[mdesim.KindToken]
	for _, c := range []struct {
		args    []string
		environ []string
		says    string
	}{
		{[]string{"--data", made}, environ, "holds the packages of a simulation"},
		{[]string{"--data", evidence, "--simulate", "1"}, nil, "holds the evidence of a real tenant"},
	} {
		before := tree(t, c.args[1])
		got := packhorse(t, c.environ, append([]string{"run", "--until-idle"}, c.args...)...)
		if got.code != exitUsage || got.stdout != "" || !strings.Contains(got.stderr, c.says) {
			t.Errorf("%q: exit %d: %s", c.args, got.code, got.stderr)
		}
		if after := tree(t, c.args[1]); !slices.Equal(after, before) {
			t.Errorf("%q: the folder changed: %q, %q", c.args, before, after)
		}
	}
	if now := s.Judge().Verdict().Calls[mdesim.KindToken]; now != tokens {
		t.Errorf("got %d requests for a token", now-tokens)
	}
}

// TestSimulationIsMarked checks what people see: the folder name, the console and the report.
func TestSimulationIsMarked(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	cmd := command(ctx, t, nil, "run", "--simulate", "1", "--package-size", "300KiB", "--until-idle")
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	if got := entries(t, cmd.Dir); !slices.Equal(got, []string{datafolder.DefaultSimulation}) {
		t.Errorf("the run created %q", got)
	}
	if first := lines(stderr.String())[0]; !strings.Contains(first, "SIMULATION: ") {
		t.Errorf("the first line is %q", first)
	}
	if !strings.HasPrefix(stdout.String(), "\nSIMULATION: ") {
		t.Errorf("the summary is %s", stdout.String())
	}
	data := filepath.Join(cmd.Dir, datafolder.DefaultSimulation)
	for _, m := range manifests(t, data) {
		page := filepath.Join(t.TempDir(), "report.html")
		got := packhorse(t, nil, "custody", m.Object.Key, "--data", data, "--html", page)
		html, err := os.ReadFile(page)
		if got.code != exitDone || err != nil || !strings.HasPrefix(got.stdout, "SIMULATION: ") ||
			!strings.Contains(got.stdout, "This is a simulation.") ||
			!strings.Contains(string(html), "This is a simulation.") {
			t.Errorf("custody: exit %d, %v: %s\n%s", got.code, err, got.stdout, got.stderr)
		}
	}
}

// manifests returns the manifests in a data folder.
func manifests(t *testing.T, data string) (all []manifest.Manifest) {
	t.Helper()
	root := filepath.Join(data, datafolder.S3, datafolder.Bucket)
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || filepath.Ext(path) != ".json" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var m manifest.Manifest
		if err := json.Unmarshal(text, &m); err != nil {
			return err
		}
		all = append(all, m)
		return nil
	})
	if err != nil || len(all) == 0 {
		t.Fatalf("%d manifests, %v", len(all), err)
	}
	return all
}

// tree returns every file in a folder with its size and time.
func tree(t *testing.T, dir string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		files = append(files, fmt.Sprint(path, info.Size(), info.ModTime()))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
