package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRelativePaths: paths on the command line are relative to the directory where the program was started,
// although the embedded S3 server changes the working directory.
func TestRelativePaths(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	from := func(dir string, args ...string) outcome {
		ctx, cancel := context.WithTimeout(t.Context(), childTimeout)
		defer cancel()
		cmd := command(ctx, t, nil, args...)
		cmd.Dir = filepath.Join(home, dir)
		var stdout, stderr strings.Builder
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		_ = cmd.Run() // the exit code is checked below
		return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
	}
	got := from(".", "run", "--simulate", "1", "--package-size", "1KiB", "--until-idle", "--data", "data")
	if got.code != exitDone || !strings.Contains(got.stdout, "Judge: PASS") {
		t.Fatalf("run: exit %d: %s%s", got.code, got.stdout, got.stderr)
	}
	key := listed(t, filepath.Join(home, "data"))[0].Key
	file := filepath.Join("s3", "evidence", filepath.FromSlash(key))
	for dir, args := range map[string][]string{
		".":       {filepath.Join("data", file), "--data", "data"},
		"data":    {file, "--data", "."},
		"data/s3": {filepath.Join("..", file), "--data", "..", "--pub", filepath.Join("..", "signing-key.pub.pem")},
	} {
		got := from(dir, append([]string{"verify"}, args...)...)
		if got.code != exitDone || !strings.Contains(got.stdout, "PASS") {
			t.Errorf("verify from %s: exit %d: %s%s", dir, got.code, got.stdout, got.stderr)
		}
		got = from(dir, append([]string{"custody", "--html", "page.html"}, args...)...)
		if got.code != exitDone {
			t.Errorf("custody from %s: exit %d: %s%s", dir, got.code, got.stdout, got.stderr)
		}
		if _, err := os.Stat(filepath.Join(home, dir, "page.html")); err != nil {
			t.Errorf("custody from %s: %v", dir, err)
		}
	}
}
