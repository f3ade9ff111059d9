package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"packhorse/internal/mde/mdesim"
)

// closedAddress returns an address where nobody listens.
func closedAddress(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// untilSaid runs the program, calls the function once standard error contains the words, and returns the
// outcome.
func untilSaid(t *testing.T, words string, do func(*os.Process), environ []string, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), childTimeout)
	defer cancel()
	cmd := command(ctx, t, environ, args...)
	var stdout strings.Builder
	cmd.Stdout = &stdout
	pipe, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	done := false
	for scanner := bufio.NewScanner(io.TeeReader(pipe, &stderr)); scanner.Scan(); {
		if !done && strings.Contains(scanner.Text(), words) {
			done = true
			do(cmd.Process)
		}
	}
	_ = cmd.Wait() // the exit code is checked below
	if !done {
		t.Fatalf("it never said %q: exit %d, %s", words, cmd.ProcessState.ExitCode(), stderr.String())
	}
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// TestDefenderDownAtTheStart: a run that starts during an outage continues when the outage ends.
func TestDefenderDownAtTheStart(t *testing.T) {
	t.Parallel()
	s := simulator(t, action(1))
	s.SetFaults(mdesim.Faults{Status: map[mdesim.Kind]int{mdesim.KindList: 503}})
	data := filepath.Join(t.TempDir(), "data")
	got := untilSaid(t, "trying again", func(*os.Process) { s.SetFaults(mdesim.Faults{}) },
		environment(s), "run", "--until-idle", "--json", "--data", data)
	if got.code != exitDone || strings.Count(got.stderr, "trying again") != 1 ||
		!strings.Contains(got.stderr, "503") {
		t.Errorf("exit %d: %s", got.code, got.stderr)
	}
	if _, summary := jsonLines(t, got); summary.Archived != 1 {
		t.Errorf("the summary says %+v", summary)
	}
	checkSecrets(t, s, data, got)
}

// TestNothingReachedAtTheStart: if Entra ID or Defender cannot be reached, the run waits and says why. It creates
// nothing without a token, and an interruption ends it cleanly.
func TestNothingReachedAtTheStart(t *testing.T) {
	t.Parallel()
	closed := "https://" + closedAddress(t)
	for name, c := range map[string]struct {
		environ []string // pairs
		args    []string
		code    int
		says    []string
		made    bool // the data folder
	}{
		"unreachable authority": {
			environ: []string{"DEFENDER_AUTHORITY_URL", closed},
			says:    []string{"connection refused", "DEFENDER_AUTHORITY_URL"},
		},
		"unreachable authority, until idle": {
			environ: []string{"DEFENDER_AUTHORITY_URL", closed}, args: []string{"--until-idle"},
			code: exitFailed, says: []string{"connection refused", "run again to continue"},
		},
		"unreachable API": {
			environ: []string{"DEFENDER_API_URL", closed}, says: []string{"connection refused"}, made: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := simulator(t, action(1))
			data := filepath.Join(t.TempDir(), "data")
			got := untilSaid(t, "trying again", func(p *os.Process) {
				if _, err := os.Stat(data); !c.made && !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("something was made: %v", err)
				}
				if err := p.Signal(syscall.SIGINT); err != nil {
					t.Error(err)
				}
			}, environment(s, c.environ...), append([]string{"run", "--data", data}, c.args...)...)
			if got.code != c.code {
				t.Errorf("exit %d: %s", got.code, got.stderr)
			}
			for _, want := range c.says {
				if !strings.Contains(got.stderr, want) {
					t.Errorf("%q does not say %q", got.stderr, want)
				}
			}
			if _, err := os.Stat(data); c.made == errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the data folder: %v", err)
			}
		})
	}
}
