package main

import (
	"path/filepath"
	"strings"
	"testing"

	"packhorse/cmd/packhorse/datafolder"
)

// TestFindsPackages: custody and verify take an id or its beginning, a host, a key, a URL and a path.
func TestFindsPackages(t *testing.T) {
	t.Parallel()
	data := simulated(t)
	first := listed(t, data)[0]
	host, _, _ := strings.Cut(first.ComputerDNSName, ".")
	path := filepath.Join(data, datafolder.S3, datafolder.Bucket, filepath.FromSlash(first.Key))
	for _, name := range []string{
		first.ActionID, strings.ToUpper(first.ActionID[:8]), host, first.ComputerDNSName, first.Key, first.ManifestKey,
		"s3://evidence/" + first.Key, path, filepath.Base(path),
	} {
		got := packhorse(t, nil, "custody", name, "--data", data, "--newest")
		if got.code != exitDone || !strings.Contains(got.stdout, first.ActionID) ||
			!strings.Contains(got.stdout, "PASS on") {
			t.Errorf("custody %s: exit %d: %s", name, got.code, got.stderr)
		}
	}
	got := packhorse(t, nil, "verify", first.ActionID[:8], "--data", data)
	if got.code != exitDone || !strings.Contains(got.stdout, "1 manifest") {
		t.Errorf("verify: exit %d: %s%s", got.code, got.stdout, got.stderr)
	}
	got = packhorse(t, nil, "verify", host+"x", "--data", data)
	if got.code != exitFailed || !strings.Contains(got.stderr, "no package found for \""+host+"x\" in ") ||
		!strings.Contains(got.stderr, data) || !strings.Contains(got.stderr, "advice: did you mean "+host) {
		t.Errorf("a wrong host: exit %d: %s", got.code, got.stderr)
	}
	for _, flags := range [][]string{{"--from", t.TempDir()}, {"--ledger", "t"}, {"--data", data}} {
		got = inProcess(nil, append([]string{"verify", "--stack", "prod"}, flags...)...)
		if got.code != exitUsage || !strings.Contains(got.stderr, "--stack excludes") {
			t.Errorf("%q: %+v", flags, got)
		}
	}
}

// TestList: list takes the same names, shows the newest first, and shows only keys if asked to.
func TestList(t *testing.T) {
	t.Parallel()
	data := simulated(t)
	all := listed(t, data)
	host, _, _ := strings.Cut(all[1].ComputerDNSName, ".")
	for _, name := range []string{all[1].ActionID, all[1].ActionID[:8], host, all[1].Key} {
		if got := listed(t, data, name); len(got) != 1 || got[0].ActionID != all[1].ActionID {
			t.Errorf("list %s: %+v", name, got)
		}
	}
	if got := listed(t, data, all[1].ActionID, "--state", "TimeOut"); len(got) != 0 {
		t.Errorf("got %+v", got)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--keys"}, all[0].Key + "\n" + all[1].Key + "\n"},
		{[]string{"--keys", "--limit", "1"}, all[0].Key + "\n"},
		{[]string{"--keys", "--since", "7d", "--until", "1w"}, ""},
		{[]string{"--keys", "--since", "2w"}, all[0].Key + "\n" + all[1].Key + "\n"},
	} {
		got := inProcess(nil, append([]string{"list", "--data", data}, c.args...)...)
		if got.code != exitDone || got.stdout != c.want {
			t.Errorf("%q: %+v", c.args, got)
		}
	}
	got := inProcess(nil, "list", "--data", data, "--limit", "1")
	rows := lines(got.stdout)
	if len(rows) != 3 || !strings.Contains(rows[1], "  "+all[0].ActionID[:8]+"  ") || strings.Contains(got.stdout, ".zip") ||
		rows[2] != "… 1 more: --limit 0 shows all" {
		t.Errorf("%s", got.stdout)
	}
	got = inProcess(nil, "list", "--data", data, "--wide")
	if !strings.Contains(got.stdout, all[0].ActionID) || !strings.Contains(got.stdout, all[1].Key) ||
		!strings.Contains(got.stdout, all[0].SHA256) {
		t.Errorf("%s", got.stdout)
	}
	got = inProcess(nil, "list", "nobody", "--data", data)
	if got.code != exitFailed || got.stdout != "" || !strings.Contains(got.stderr, `no package found for "nobody" in `+data) {
		t.Errorf("%+v", got)
	}
	for _, flags := range [][]string{
		{"--json", "--keys"}, {"--wide", "--keys"}, {"--limit", "-1"}, {"--stack", "s", "--ledger", "t", "--tenant", all[0].TenantID},
		{"--stack", "s"}, {"--since", "7x"}, {"--newest-pair", "--machine", "x", "--limit", "3"},
	} {
		if got := inProcess(nil, append([]string{"list", "--data", data}, flags...)...); got.code != exitUsage {
			t.Errorf("%q: %+v", flags, got)
		}
	}
}
