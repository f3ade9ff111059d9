package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"packhorse/cmd/packhorse/datafolder"
	"packhorse/internal/verify/verifytest"
)

// TestExport: export copies what is selected, from the data folder and from a copy without a ledger; the recipient
// checks it with CHECK.txt, and the exit code says what was verified.
func TestExport(t *testing.T) {
	t.Parallel()
	data := kept(t)
	rec, none := archivedAndNot(t, data)
	folder := filepath.Join(data, datafolder.S3, datafolder.Bucket)
	pub := filepath.Join(t.TempDir(), "pub.pem")
	if err := os.WriteFile(pub, []byte(inProcess(nil, "public-key", "--data", data).stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args     []string
		code     int
		want     string
		packages int // of which not collected: those without an object
	}{
		"all":         {[]string{"--all", "--data", data}, exitDone, "PASS: each package agrees", 3},
		"ids":         {[]string{rec.ActionID[:8], none.ActionID, "--data", data}, exitDone, "PASS: ", 2},
		"an id twice": {[]string{rec.ActionID, rec.Key, "--data", data}, exitDone, "PASS: ", 1},
		"a host":      {[]string{"--machine", rec.ComputerDNSName, "--tenant", rec.TenantID, "--data", data}, exitDone, "PASS: ", -1},
		"since":       {[]string{"--since", "2020-01-01", "--data", data}, exitDone, "PASS: ", 3},
		"a copy":      {[]string{"--all", "--from", folder}, exitKeyNotTrusted, "PARTIAL: consistent, key not trusted", 3},
		"a key":       {[]string{"--all", "--from", folder, "--pub", pub}, exitPartial, "PARTIAL: what was checked agrees", 3},
		"of a copy":   {[]string{filepath.Join(folder, filepath.FromSlash(rec.Key)), "--from", folder, "--pub", pub}, exitPartial, "PARTIAL: ", 1},
		"a copy, by host": {[]string{"--machine", rec.ComputerDNSName, "--from", folder, "--pub", pub}, exitPartial, "PARTIAL: ",
			-1},
	} {
		out := filepath.Join(t.TempDir(), "x")
		got := packhorse(t, nil, append([]string{"export", "-o", out}, c.args...)...)
		if got.code != c.code || !strings.Contains(got.stdout, c.want) {
			t.Errorf("%s: exit %d: %s%s", name, got.code, got.stdout, got.stderr)
			continue
		}
		text, err := os.ReadFile(filepath.Join(out, "index.json"))
		var index struct {
			Packages []struct{ ActionID string }
			Keys     []struct{ KeyID string }
		}
		if err != nil || json.Unmarshal(text, &index) != nil || c.packages >= 0 && len(index.Packages) != c.packages ||
			len(index.Packages) == 0 {
			t.Errorf("%s: %v, %d packages", name, err, len(index.Packages))
			continue
		}
		cmd := exec.CommandContext(t.Context(), "sh", "CHECK.txt", index.Keys[0].KeyID)
		cmd.Dir = out
		if said, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(said), "\nOK: ") {
			t.Errorf("%s: %v: %s", name, err, said)
		}
	}
}

// TestExportNothing: a command line that could export too much, or nothing, is refused.
func TestExportNothing(t *testing.T) {
	t.Parallel()
	data := kept(t)
	rec, _ := archivedAndNot(t, data)
	parent := t.TempDir()
	out := filepath.Join(parent, "x.zip")
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"no filter":       {[]string{"-o", out, "--data", data}, exitUsage, "say what to export"},
		"only a tenant":   {[]string{"-o", out, "--tenant", rec.TenantID, "--data", data}, exitUsage, "say what to export"},
		"all and a case":  {[]string{"-o", out, "--all", "--case", "x", "--data", data}, exitUsage, "--all excludes"},
		"standard output": {[]string{"-o", "-", "--all", "--data", data}, exitUsage, "-o - is not possible"},
		"no path":         {[]string{"--all", "--data", data}, exitUsage, "-o PATH"},
		"newest":          {[]string{"-o", out, rec.ComputerDNSName, "--newest", "--data", data}, exitUsage, "--newest does not apply"},
		"a bad tenant":    {[]string{"-o", out, "--all", "--tenant", "x", "--data", data}, exitUsage, "--tenant"},
		"a bad time":      {[]string{"-o", out, "--since", "x", "--data", data}, exitUsage, "--since"},
		"no match":        {[]string{"-o", out, "--case", "nothing", "--data", data}, exitFailed, "no package matches"},
		"unknown":         {[]string{"-o", out, "nowhere", "--data", data}, exitFailed, "no package found"},
		"another tenant": {[]string{"-o", out, "--all", "--tenant", "99999999-2222-4333-8444-555555555555", "--data", data}, exitFailed,
			"no package matches"},
		"a case of a copy": {[]string{"-o", out, "INC-1", "--from", filepath.Join(data, datafolder.S3, datafolder.Bucket)}, exitUsage,
			"without a ledger"},
	} {
		got := packhorse(t, nil, append([]string{"export"}, c.args...)...)
		if got.code != c.code || !strings.Contains(got.stderr, c.want) {
			t.Errorf("%s: exit %d: %s%s", name, got.code, got.stdout, got.stderr)
		}
	}
	if all, _ := os.ReadDir(parent); len(all) > 0 {
		t.Errorf("%v is there", all)
	}
}

// TestExportFailed: a changed package prevents the export; --include-failed keeps it apart, and still exits with 1.
func TestExportFailed(t *testing.T) {
	t.Parallel()
	data := kept(t)
	rec, _ := archivedAndNot(t, data)
	path := filepath.Join(data, datafolder.S3, datafolder.Bucket, filepath.FromSlash(rec.Key))
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err == nil {
		_, err = file.WriteAt([]byte("xxxx"), 40)
	}
	if err != nil || file.Close() != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "x")
	got := packhorse(t, nil, "export", "--all", "-o", out, "--data", data)
	if _, err := os.Lstat(out); got.code != exitFailed || err == nil ||
		!strings.Contains(got.stderr, "nothing was exported, because 1 package does not verify:\n  "+rec.ActionID) ||
		!strings.Contains(got.stderr, "advice: packhorse verify ID shows every finding; --include-failed") {
		t.Errorf("exit %d, %v: %s%s", got.code, err, got.stdout, got.stderr)
	}
	got = packhorse(t, nil, "export", "--all", "-o", out, "--data", data, "--include-failed", "--json")
	all := lines(got.stdout)
	apart, _ := filepath.Glob(filepath.Join(out, "mismatch", "*.zip"))
	if got.code != exitFailed || len(apart) != 1 || !strings.Contains(got.stderr, "FAIL: the object's SHA-256 differs") ||
		!strings.HasPrefix(all[len(all)-1], `{"event":"exported",`) {
		t.Errorf("exit %d, %q: %s%s", got.code, apart, got.stdout, got.stderr)
	}
}

// TestExportTenants: one customer's evidence never goes out with another's, unless both are named.
func TestExportTenants(t *testing.T) {
	t.Parallel()
	copied := t.TempDir()
	verifytest.New(t).CopyTo(t, copied)
	both := []string{"--tenant", verifytest.Tenant, "--tenant", strings.ToUpper(verifytest.Tenant2)}
	for name, c := range map[string]struct {
		args    []string
		tenants []string // empty: refused
	}{
		"none named":      {[]string{"--all"}, nil},
		"none, by a case": {[]string{"--case", "INC-4711"}, nil},
		"one named":       {[]string{"--all", "--tenant", verifytest.Tenant2}, []string{verifytest.Tenant2}},
		"one, by a case":  {[]string{"--case", "inc-4711", "--tenant", verifytest.Tenant}, []string{verifytest.Tenant}},
		"both named":      {append([]string{"--all"}, both...), []string{verifytest.Tenant2, verifytest.Tenant}},
		"both, by a host": {append([]string{"--machine", "fin-ws-17"}, both...), []string{verifytest.Tenant2, verifytest.Tenant}},
		"two keys, unnamed": {[]string{
			verifytest.Key(verifytest.Prefix, 1, ".zip"),
			strings.Replace(verifytest.Key(verifytest.Prefix, 1, ".zip"), verifytest.Tenant, verifytest.Tenant2, 1),
		}, nil},
	} {
		out := filepath.Join(t.TempDir(), "x")
		got := inProcess(nil, append([]string{"export", "--from", copied, "-o", out}, c.args...)...)
		if len(c.tenants) == 0 {
			if _, err := os.Lstat(out); err == nil || got.code != exitFailed || !strings.Contains(got.stderr, "these packages belong to 2 tenants") ||
				!strings.Contains(got.stderr, "--tenant "+verifytest.Tenant2) || !strings.Contains(got.stderr, "--tenant "+verifytest.Tenant) {
				t.Errorf("%s: exit %d: %s%s", name, got.code, got.stdout, got.stderr)
			}
			continue
		}
		var index struct{ Tenants []string }
		text, err := os.ReadFile(filepath.Join(out, "index.json"))
		if err != nil || got.code != exitKeyNotTrusted || json.Unmarshal(text, &index) != nil || !slices.Equal(index.Tenants, c.tenants) {
			t.Errorf("%s: exit %d, %v, %q: %s", name, got.code, err, index.Tenants, got.stderr)
		}
	}
}
