package e2e_test

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A tag can be moved to other code; a SHA cannot. Workflow steps get no token that can write, and
// the checkout leaves no token behind. A failing step fails the run.
func TestWorkflowsArePinned(t *testing.T) {
	files, err := filepath.Glob(root + "/.github/workflows/*")
	if err != nil || len(files) < 2 {
		t.Fatalf("got %q, %v", files, err)
	}
	for _, file := range files {
		text := read(t, strings.TrimPrefix(file, root))
		if faults := workflowFaults(text); len(faults) != 0 {
			t.Errorf("%s: %q", file, faults)
		}
	}
}

const goodWorkflow = `
on: [push]

permissions:
  contents: read

jobs:
  gate:
    steps:
      - uses: actions/checkout@0123456789abcdef0123456789abcdef01234567 # v5.1.0
        with:
          persist-credentials: false
      - uses: actions/setup-go@0123456789abcdef0123456789abcdef01234567 # v6.5.0
      - run: .ci/run
`

// TestWorkflowsArePinned detects these faults.
func TestWorkflowFaults(t *testing.T) {
	const sha, persist = "@0123456789abcdef0123456789abcdef01234567", "persist-credentials: false"
	for name, change := range map[string]struct {
		old, new string
		faults   int
	}{
		"as it should be":    {},
		"a tag":              {sha + " # v6.5.0", "@v6.5.0", 1},
		"a short SHA":        {sha + " # v6.5.0", "@0123456 # v6.5.0", 1},
		"no version":         {sha + " # v6.5.0", sha, 1},
		"a flow mapping":     {"- uses: actions/setup-go" + sha, "- {uses: actions/setup-go@v6}", 1},
		"a quoted key":       {"- uses: actions/setup-go", `- "uses": actions/setup-go`, 1},
		"no credentials":     {"        with:\n          " + persist + "\n", "", 1},
		"credentials":        {persist, "persist-credentials: true", 1},
		"of another step":    {persist + "\n", "x: y\n      - with:\n          " + persist + "\n", 1},
		"no permissions":     {"permissions:\n  contents: read\n", "", 1},
		"more permissions":   {"contents: read\n", "contents: read\n  id-token: write\n", 1},
		"all permissions":    {"permissions:\n  contents: read\n", "permissions: write-all\n", 2},
		"failure tolerated":  {"- run: .ci/run", "- continue-on-error: true", 1},
		"failure swallowed":  {"- run: .ci/run", "- run: .ci/run || true", 1},
		"the base's secrets": {"on: [push]", "on: [pull_request_target]", 1},
	} {
		text := strings.Replace(goodWorkflow, change.old, change.new, 1)
		if faults := workflowFaults(text); len(faults) != change.faults {
			t.Errorf("%s: got %q, want %d", name, faults, change.faults)
		}
	}
}

var (
	usesKey  = regexp.MustCompile(`\buses['"]?\s*:.*`)
	usesSHA  = regexp.MustCompile(`^uses: [\w.-]+(/[\w.-]+)+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
	nextStep = regexp.MustCompile(`\n +- `)
	lenient  = regexp.MustCompile(`continue-on-error|\|\| *(true|:)|pull_request_target|:\s*write(-all)?\b`)
)

// workflowFaults returns whatever lets a workflow run unreviewed code or hides a failure.
func workflowFaults(text string) []string {
	var faults []string
	for _, uses := range usesKey.FindAllString(text, -1) {
		if !usesSHA.MatchString(uses) {
			faults = append(faults, "an action without SHA and version: "+uses)
		}
	}
	for _, step := range nextStep.Split(text, -1) {
		if strings.HasPrefix(step, "uses: actions/checkout@") &&
			!strings.Contains(step, "\n          persist-credentials: false") {
			faults = append(faults, "a checkout that leaves its token behind: "+step)
		}
	}
	if !strings.Contains(text, "\npermissions:\n  contents: read\n") {
		faults = append(faults, "the permissions are not contents: read")
	}
	return append(faults, lenient.FindAllString(text, -1)...)
}

// Each Python tool installs from a lock file that names every package and the hash of every file,
// and pip never installs anything else.
func TestPythonToolsAreLocked(t *testing.T) {
	folders, err := filepath.Glob(root + "/tools/python/*")
	if err != nil || len(folders) < 6 {
		t.Fatalf("got %q, %v", folders, err)
	}
	for _, folder := range folders {
		in := read(t, strings.TrimPrefix(folder, root)+"/requirements.in")
		lock := read(t, strings.TrimPrefix(folder, root)+"/requirements.txt")
		if faults := lockFaults(in, lock); len(faults) != 0 {
			t.Errorf("%s: %q", folder, faults)
		}
	}
	installs := 0
	for _, file := range []string{
		"Makefile", "tools/local", ".ci/run", ".github/workflows/ci.yml", ".github/workflows/nightly.yml",
	} {
		text := strings.ReplaceAll(read(t, file), "\\\n", "")
		for _, line := range regexp.MustCompile(`\bpip3? install\b.*`).FindAllString(text, -1) {
			installs++
			for _, flag := range []string{"--require-hashes", "--no-deps", "--only-binary :all:"} {
				if !strings.Contains(line, flag) {
					t.Errorf("%s: %s is missing: %s", file, flag, line)
				}
			}
		}
	}
	if installs == 0 {
		t.Error("found no pip install")
	}
}

// TestPythonToolsAreLocked detects these faults.
func TestLockFaults(t *testing.T) {
	hash := "--hash=sha256:" + strings.Repeat("0a", 32)
	in := "tool[extra]==1.2 # a comment\nother<3\n"
	for name, test := range map[string]struct {
		lock   string
		faults int
	}{
		"as it should be": {fmt.Sprintf("# made\ntool==1.2 \\\n    %s \\\n    %[1]s\n    # via x\n"+
			"other==2 ; python_version < '3.12' \\\n    %[1]s\n", hash), 0},
		"no hash":       {"tool==1.2 \\\n    " + hash + "\nother==2\n", 2},
		"a short hash":  {"tool==1.2 --hash=sha256:0a\nother==2 " + hash + "\n", 2},
		"MD5":           {"tool==1.2 --hash=md5:" + strings.Repeat("0a", 16) + "\nother==2 " + hash + "\n", 2},
		"no version":    {"tool==1.2 " + hash + "\nother " + hash + "\n", 2},
		"a range":       {"tool==1.2 " + hash + "\nother>=2 " + hash + "\n", 2},
		"an address":    {"tool==1.2 " + hash + "\nother==2 " + hash + "\nx @ https://example.com/x.whl\n", 1},
		"another index": {"--index-url http://x\ntool==1.2 " + hash + "\nother==2 " + hash + "\n", 1},
		"out of date":   {"tool==1.1 " + hash + "\nother==2 " + hash + "\n", 1},
		"incomplete":    {"tool==1.2 " + hash + "\n", 1},
	} {
		if faults := lockFaults(in, test.lock); len(faults) != test.faults {
			t.Errorf("%s: got %q, want %d", name, faults, test.faults)
		}
	}
}

var (
	locked    = regexp.MustCompile(`^([a-z0-9-]+)==([\w.+!]+)( ; [^#]+?)?( +--hash=sha256:[0-9a-f]{64})+$`)
	requested = regexp.MustCompile(`(?m)^([a-z0-9-]+)(?:\[[^\]]*\])?(?:==([\w.+!]+))?`)
)

// lockFaults returns the lines of a lock with which pip could install a file that nobody has seen,
// and the requirements in requirements.in that the lock lacks.
func lockFaults(in, lock string) []string {
	var faults []string
	versions := map[string]string{}
	for line := range strings.Lines(strings.ReplaceAll(lock, "\\\n", "")) {
		line = strings.TrimSpace(line)
		match := locked.FindStringSubmatch(line)
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case match == nil:
			faults = append(faults, "not pinned to one version with hashes: "+line)
		default:
			versions[match[1]] = match[2]
		}
	}
	for _, want := range requested.FindAllStringSubmatch(in, -1) {
		got, ok := versions[want[1]]
		if !ok || want[2] != "" && got != want[2] {
			faults = append(faults, fmt.Sprintf("%s is locked at %q: run make lock", want[0], got))
		}
	}
	return faults
}

// Everything that is pinned is also updated: every folder with dependencies gets pull requests.
func TestPinsAreKeptCurrent(t *testing.T) {
	config := read(t, ".github/dependabot.yml")
	want := []string{"package-ecosystem: github-actions", `"/tools/python/*"`}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && path != root:
			return filepath.SkipDir // git's, sam's, Python's
		case entry.Name() == "go.mod":
			want = append(want, fmt.Sprintf("%q", filepath.Dir(strings.TrimPrefix(path, root))))
		}
		return nil
	})
	if err != nil || len(want) < 5 {
		t.Fatalf("found %q, %v", want, err)
	}
	for _, line := range want {
		if !strings.Contains(config, line) {
			t.Errorf("nothing updates %s", line)
		}
	}
}

// The nightly run fails if govulncheck finds something in any module.
func TestVulnerabilityFailsTheRun(t *testing.T) {
	if !strings.Contains(read(t, ".github/workflows/nightly.yml"), "\n      - run: make vuln\n") {
		t.Error("the nightly run lacks the step make vuln")
	}
	for affected, want := range map[string]bool{"": true, ".": false, "cmd/packhorse": false} {
		checked, err := vuln(t, affected)
		if (err == nil) != want {
			t.Errorf("with a vulnerability in %q, make vuln returned %v", affected, err)
		}
		if want && !slices.Equal(checked, []string{".", "cmd/packhorse"}) {
			t.Errorf("make vuln checked %q", checked)
		}
	}
}

// vuln runs the Makefile's target in a folder in which govulncheck finds something in one module,
// or in none. It returns the modules that were checked.
func vuln(t *testing.T, affected string) ([]string, error) {
	t.Helper()
	dir := t.TempDir()
	for _, folder := range []string{"bin", "tools", "cmd/packhorse", "path"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	// go build -o …/bin/govulncheck creates a fake govulncheck that records where it runs. 3 is the
	// exit code for a finding.
	script := fmt.Sprintf(`#!/bin/sh
cat >"$3" <<'END'
#!/bin/sh
here=$(realpath --relative-to=%q .)
echo "$here" >>%q
[ "$here" != %q ] || exit 3
END
chmod +x "$3"
`, dir, filepath.Join(dir, "checked"), affected)
	if err := os.WriteFile(filepath.Join(dir, "path", "go"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	makefile, err := filepath.Abs(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "make", "--file", makefile, "--directory", dir, "vuln")
	command.Env = append(os.Environ(), "PATH="+filepath.Join(dir, "path")+":"+os.Getenv("PATH"))
	out, err := command.CombinedOutput()
	t.Logf("%s", out)
	text, readErr := os.ReadFile(filepath.Join(dir, "checked"))
	if readErr != nil {
		t.Fatal(readErr)
	}
	return strings.Fields(string(text)), err
}
