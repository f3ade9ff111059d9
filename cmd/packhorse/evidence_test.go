package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"packhorse/cmd/packhorse/datafolder"
)

// simulated returns a data folder with two archived packages.
func simulated(t *testing.T) (data string) {
	t.Helper()
	data = filepath.Join(t.TempDir(), "data")
	got := packhorse(t, nil, "run", "--simulate", "2", "--package-size", "300KiB", "--until-idle", "--json",
		"--data", data)
	if got.code != exitDone {
		t.Fatalf("exit %d: %s", got.code, got.stderr)
	}
	return data
}

// record holds fields of a line of `packhorse list --json`.
type record struct {
	Event, ActionID, Key, ManifestKey, ComputerDNSName, State, SHA256, TenantID string
}

func listed(t *testing.T, data string, args ...string) []record {
	t.Helper()
	got := inProcess(nil, append([]string{"list", "--json", "--data", data}, args...)...)
	if got.code != exitDone {
		t.Fatalf("list: exit %d: %s", got.code, got.stderr)
	}
	var all []record
	for _, text := range lines(got.stdout) {
		var r record
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// TestEvidence verifies, reports and lists the results of a run, then changes them and finds the changes.
func TestEvidence(t *testing.T) {
	t.Parallel()
	data := simulated(t)
	folder := filepath.Join(data, datafolder.S3, datafolder.Bucket)
	records := agrees(t, data, folder)
	agreesAsFarAsACopyGoes(t, data, folder, records)
	disagreesOnceChanged(t, data, folder, records)
}

// agrees checks an untouched archive, and returns its records.
func agrees(t *testing.T, data, folder string) []record {
	t.Helper()
	got := packhorse(t, nil, "verify", "--data", data)
	if got.code != exitDone || !strings.Contains(got.stdout, "PASS: everything agrees; 2 manifests") ||
		!strings.Contains(got.stdout, "1 to 2, whole") {
		t.Fatalf("verify: exit %d: %s\n%s", got.code, got.stdout, got.stderr)
	}
	records := listed(t, data)
	if len(records) != 2 || records[0].State != "done" || len(listed(t, data, "--state", "archived")) != 2 ||
		len(listed(t, data, "--machine", strings.Split(records[0].ComputerDNSName, ".")[0])) == 0 {
		t.Errorf("list: %+v", records)
	}

	page := filepath.Join(t.TempDir(), "report.html")
	got = packhorse(t, nil, "custody", records[0].Key, "--data", data, "--html", page)
	html, err := os.ReadFile(page)
	if got.code != exitDone || err != nil || !strings.Contains(got.stdout, "PASS on") ||
		!strings.Contains(string(html), "PASS on") {
		t.Errorf("custody: exit %d, %v: %s\n%s", got.code, err, got.stdout, got.stderr)
	}
	typed(t, folder, records[0].Key, got.stdout)
	return records
}

// agreesAsFarAsACopyGoes checks a copy of the archive, whole and then truncated.
func agreesAsFarAsACopyGoes(t *testing.T, data, folder string, records []record) {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(copied, os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	pub := filepath.Join(t.TempDir(), "pub.pem")
	key := inProcess(nil, "public-key", "--data", data)
	if err := os.WriteFile(pub, []byte(key.stdout), 0o600); err != nil || key.code != exitDone {
		t.Fatal(err, key)
	}
	got := inProcess(nil, "verify", "--from", copied, "--pub", pub)
	if got.code != exitPartial || !strings.Contains(got.stdout, "end unknown") ||
		!strings.Contains(got.stdout, "PARTIAL: what was checked agrees; not checked: version, lock, ledger, chain;") {
		t.Errorf("a copy: %+v", got)
	}
	for require, code := range map[string]int{
		"signature,object": exitPartial, "all": exitFailed, "version": exitFailed, "object,lock": exitFailed,
		"locks": exitUsage,
	} {
		got = inProcess(nil, "verify", "--from", copied, "--pub", pub, "--require", require)
		if got.code != code {
			t.Errorf("--require %s: %+v", require, got)
		}
	}
	untrusted := inProcess(nil, "custody", records[0].Key, "--from", copied)
	if untrusted.code != exitKeyNotTrusted || strings.Contains(untrusted.stdout, "PASS") ||
		!strings.Contains(untrusted.stdout, "consistent, key not trusted") {
		t.Errorf("without a trusted key: %+v", untrusted)
	}
	if got = inProcess(nil, "public-key", "--from", copied); got.stdout != key.stdout {
		t.Errorf("the published key is %q", got.stdout)
	}
	path := filepath.Join(copied, filepath.FromSlash(records[1].Key))
	if err := os.Truncate(path, 1000); err != nil {
		t.Fatal(err)
	}
	got = inProcess(nil, "verify", path, "--from", copied, "--pub", pub)
	if got.code != exitFailed || !strings.Contains(got.stderr, "FAIL: the object's size differs (host ") ||
		!strings.Contains(got.stderr, "): "+records[1].Key) ||
		!strings.Contains(got.stdout, "FAIL: 1 problem") {
		t.Errorf("a truncated copy: %+v", got)
	}
	got = inProcess(nil, "verify", "--json", "--from", copied, "--pub", pub)
	all := lines(got.stdout)
	if got.code != exitFailed || !strings.HasPrefix(all[len(all)-1], `{"event":"verified",`) ||
		!strings.Contains(all[len(all)-1], `"ok":false,"archive"`) ||
		!strings.Contains(all[len(all)-1], `"verdict":"FAIL"`) {
		t.Errorf("--json: %+v", got)
	}
}

// disagreesOnceChanged deletes objects behind the server's back, with the ledger and keys of the data folder to
// compare with.
func disagreesOnceChanged(t *testing.T, data, folder string, records []record) {
	t.Helper()
	if err := os.Remove(filepath.Join(folder, filepath.FromSlash(records[1].ManifestKey))); err != nil {
		t.Fatal(err)
	}
	got := packhorse(t, nil, "verify", "--data", data)
	if got.code != exitFailed || !strings.Contains(got.stdout, "FAIL  manifest missing\n  host      "+
		records[1].ComputerDNSName) || !strings.Contains(got.stdout, "no manifest mentions it") ||
		!strings.Contains(got.stdout, "FAIL: 1 problem;") ||
		!strings.Contains(got.stderr, "FAIL: manifest missing (host "+records[1].ComputerDNSName) {
		t.Errorf("a manifest is gone: exit %d: %s\n%s", got.code, got.stdout, got.stderr)
	}
	got = packhorse(t, nil, "custody", records[1].Key, "--data", data)
	if got.code != exitFailed || !strings.Contains(got.stdout, "Ledger entry of an investigation package") ||
		!strings.Contains(got.stdout, records[1].SHA256) || strings.Contains(got.stdout, "openssl") {
		t.Errorf("its custody: exit %d: %s\n%s", got.code, got.stdout, got.stderr)
	}
	got = packhorse(t, nil, "verify", "--data", data, "--tenant", "99999999-2222-4333-8444-555555555555")
	if got.code != exitFailed || !strings.Contains(got.stderr, "EMPTY: nothing of the tenant 99999999") ||
		!strings.Contains(got.stderr, records[0].TenantID) {
		t.Errorf("another tenant: exit %d: %s\n%s", got.code, got.stdout, got.stderr)
	}
	if err := os.Remove(filepath.Join(folder, filepath.FromSlash(records[0].Key))); err != nil {
		t.Fatal(err)
	}
	got = packhorse(t, nil, "custody", records[0].Key, "--data", data)
	for _, want := range []string{
		"The file exists and has the recorded SHA-256 DOES NOT AGREE",
		"The file was neither replaced nor deleted in the archive not established",
		"The file is locked against deletion as recorded not established",
	} {
		if got.code != exitFailed || !strings.Contains(strings.Join(strings.Fields(got.stdout), " "), want) {
			t.Errorf("the package is gone: exit %d, and no %q in %s", got.code, want, got.stdout)
		}
	}
}

var commandForm = regexp.MustCompile(
	`(?s)  \$ (.*?)\n    → prints[^\n]*?([0-9a-f]{64}|Verified OK|name of the key file)\n`)

// typed runs the commands in a report and compares their output.
func typed(t *testing.T, folder, key, report string) {
	t.Helper()
	dir := t.TempDir()
	files, err := filepath.Glob(filepath.Join(folder, strings.TrimSuffix(filepath.FromSlash(key), ".zip")+"*"))
	if err != nil {
		t.Fatal(err)
	}
	published, err := filepath.Glob(filepath.Join(folder, "signing-keys", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, published...) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	steps := commandForm.FindAllStringSubmatch(report, -1)
	if len(steps) != 4 {
		t.Fatalf("%d commands in %s", len(steps), report)
	}
	for _, step := range steps {
		want := step[2]
		if want == "name of the key file" {
			want = strings.TrimSuffix(filepath.Base(published[0]), ".pem")
		}
		cmd := exec.CommandContext(t.Context(), "sh", "-c", step[1])
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: got %s, %v; want %s", step[1], out, err, want)
		}
	}
}

// TestNoEvidence: on missing evidence, commands say so, create nothing and suggest what to do.
func TestNoEvidence(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	empty := t.TempDir()
	for _, c := range []struct {
		args   []string
		says   string
		advice string
		code   int
	}{
		{[]string{"verify", "--data", data}, "no archive found in", "--from s3://NAME", exitFailed},
		{[]string{"custody", "x", "--data", data}, "no archive found in", "--from s3://NAME", exitFailed},
		{[]string{"list", "--data", data}, "no ledger found in", "--ledger", exitFailed},
		{[]string{"public-key", "--data", data}, "no signing key found in", "--data", exitFailed},
		{[]string{"verify", "--from", data}, "no such file", "", exitFailed},
		{[]string{"verify", "--from", empty, "--pub", filepath.Join(data, "x.pem")}, "no such file", "", exitFailed},
		{[]string{"verify", "x", "--from", empty}, "is not an archive key", "", exitUsage},
	} {
		got := inProcess(nil, c.args...)
		if got.code != c.code || got.stdout != "" || !strings.Contains(got.stderr, c.says) ||
			!strings.Contains(got.stderr, c.advice) {
			t.Errorf("%q: %+v", c.args, got)
		}
	}
	if _, err := os.Stat(data); err == nil {
		t.Error("the data folder was created")
	}
}

// TestEmpty: an empty archive gets the verdict EMPTY, and nothing else is printed about it.
func TestEmpty(t *testing.T) {
	t.Parallel()
	got := inProcess(nil, "verify", "--from", t.TempDir())
	if got.code != exitFailed || !strings.Contains(got.stdout, "EMPTY: no manifest in") ||
		strings.Contains(got.stdout, "Note") || !strings.Contains(got.stderr, "signing-keys/") {
		t.Errorf("%+v", got)
	}
	got = inProcess(nil, "verify", "--json", "--from", t.TempDir())
	if got.code != exitFailed || !strings.HasPrefix(got.stdout, `{"event":"verified",`) ||
		!strings.Contains(got.stdout, `"ok":false,"archive"`) ||
		!strings.Contains(got.stdout, `"verdict":"EMPTY"`) {
		t.Errorf("%+v", got)
	}
}

// TestPlanted: a file planted next to a package is listed, and custody reports on the genuine package whichever
// key is given.
func TestPlanted(t *testing.T) {
	t.Parallel()
	data := simulated(t)
	key := listed(t, data)[0].Key
	planted := strings.TrimSuffix(key, ".zip") + "~1.zip"
	path := filepath.Join(data, datafolder.S3, datafolder.Bucket, filepath.FromSlash(planted))
	if err := os.WriteFile(path, []byte("planted"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := packhorse(t, nil, "verify", "--data", data)
	if got.code != exitDone ||
		!strings.Contains(got.stdout, "PASS: everything agrees; 1 stranger next to genuine records") ||
		!strings.Contains(got.stdout, planted) || !strings.Contains(got.stdout, "7 bytes") {
		t.Errorf("verify: exit %d: %s\n%s", got.code, got.stdout, got.stderr)
	}
	got = packhorse(t, nil, "verify", "--json", "--data", data)
	if got.code != exitDone || strings.Count(got.stdout, `{"event":"stranger",`) != 1 ||
		strings.Count(got.stdout, `"version":"1","key":"`+planted) != 1 ||
		!strings.Contains(got.stdout, `"findings":0,`) || !strings.Contains(got.stdout, `"strangers":1`) {
		t.Errorf("--json: exit %d: %s", got.code, got.stdout)
	}
	for _, asked := range []string{key, planted} {
		got = packhorse(t, nil, "custody", asked, "--data", data)
		if got.code != exitDone || !strings.Contains(got.stdout, "PASS on") || !strings.Contains(got.stdout, planted) ||
			!strings.Contains(got.stdout, "sha256sum "+filepath.Base(key)) ||
			strings.Contains(got.stdout, "You asked for") != (asked == planted) {
			t.Errorf("custody %s: exit %d: %s\n%s", asked, got.code, got.stdout, got.stderr)
		}
	}
}
