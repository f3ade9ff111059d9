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
	if got.code != exitFailed || !strings.Contains(got.stderr, "no package found for \""+host+"x\": ") ||
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
