//go:build cloud

package invoketest

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"packhorse/internal/fetch"
	"packhorse/internal/mde/mdesim"
	"packhorse/internal/poll"
)

// makeTimeout bounds one target: a build, a start and an invocation of a minute.
const makeTimeout = 5 * time.Minute

// workshop is a folder and a port for this test, so it does not disturb a developer's running cloud. built is a folder
// with a build of the functions; it is empty if the target has to make one.
type workshop struct{ dir, port, built string }

// run runs a target in the repository's root and returns its standard output.
func (w workshop) run(t *testing.T, target string, variables ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), makeTimeout) // not the test's context: it also cleans up
	defer cancel()
	args := append([]string{"--no-print-directory", target, "INVOKE_DIR=" + w.dir, "LOCAL_PORT=" + w.port,
		"BUILT=" + w.built}, variables...)
	command := exec.CommandContext(ctx, "make", args...)
	command.Dir = filepath.Join("..", "..", "..")
	var log strings.Builder
	command.Stderr = &log
	out, err := command.Output()
	if err != nil {
		t.Fatalf("make %s: %v\n%s\n%s", target, err, out, log.String())
	}
	return string(out)
}

// invoke returns the function's answer (the second to last line) and the summary line after it.
func invoke[T any](t *testing.T, w workshop, target string, variables ...string) (T, string) {
	t.Helper()
	out := w.run(t, target, variables...)
	var answer T
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) < 2 {
		t.Fatalf("make %s prints only %q", target, out)
	}
	decoder := json.NewDecoder(strings.NewReader(lines[len(lines)-2]))
	decoder.DisallowUnknownFields() // an errorMessage is not an answer
	if err := decoder.Decode(&answer); err != nil {
		t.Fatalf("make %s: %v\n%s", target, err, out)
	}
	return answer, lines[len(lines)-1]
}

// first is the action that events/fetch-package.json is about.
var first = mdesim.Scenario(1, 1, time.Now(), nil)[0]

// archivedAt returns the key in the last line, which reports the archived package; "" if the line
// lacks the place, size or digest.
func archivedAt(lastLine string) string {
	match := regexp.MustCompile(`s3://packhorse-evidence/(packages/\S+/` + first.MachineID + `/\S+_` +
		first.ID + `\.zip), 700\.0 KiB, SHA-256 [0-9a-f]{64}$`).FindStringSubmatch(lastLine)
	if match == nil {
		return ""
	}
	return match[1]
}

// checkArchived checks the fetch function's report on the package it archived.
func checkArchived(t *testing.T, answer fetch.Answer, lastLine string) {
	t.Helper()
	if answer.Outcome != fetch.OutcomeArchived || answer.ActionID != first.ID || answer.Bytes != 700<<10 {
		t.Errorf("the fetch function answers %+v", answer)
	}
	if !strings.HasPrefix(lastLine, "archived s3://") || archivedAt(lastLine) != answer.Key {
		t.Errorf("the last line is %q, the key %q", lastLine, answer.Key)
	}
}

// Poll, then fetch: the poll function finds the packages, and the fetch function archives one of
// them, once. It refuses other events. The last line always reports the outcome of the package.
func TestInvoke(t *testing.T) {
	t.Parallel() // mostly waits for a tick of the poll function to end
	w := workshop{dir: t.TempDir(), port: freePort(t)}
	defer w.run(t, "invoke-down")

	found, line := invoke[poll.Answer](t, w, "invoke-poll")
	if found.Sweeps == 0 || found.Seen != 4 || found.Ready == 0 || found.HandedOver == 0 {
		t.Errorf("the poll function answers %+v", found)
	}
	w.built = filepath.Join(w.dir, "build")
	if want := "action " + first.ID + " is ready: make invoke-fetch-package"; !strings.Contains(line, want) {
		t.Errorf("the last line is %q, without %q", line, want)
	}

	carried, line := invoke[fetch.Answer](t, w, "invoke-fetch-package")
	checkArchived(t, carried, line)

	for event, stored := range map[string]string{
		"events/fetch-package.json": carried.Key, "events/busted_shape.json": "",
	} {
		refused, line := invoke[fetch.Answer](t, w, "invoke-fetch-package", "EVENT="+event)
		if refused.Outcome != fetch.OutcomeRefused || refused.Reason == "" {
			t.Errorf("%s: the fetch function answers %+v", event, refused)
		}
		if !strings.HasPrefix(line, "refused: "+refused.Reason) || archivedAt(line) != stored {
			t.Errorf("%s: the last line is %q", event, line)
		}
	}
}

// The fetch function archives a package even if it is the first to run on a new local cloud.
func TestInvokeFetchPackageFirst(t *testing.T) {
	t.Parallel() // mostly waits for a tick of the poll function to end
	w := workshop{dir: t.TempDir(), port: freePort(t), built: os.Getenv("PACKHORSE_BUILT")}
	defer w.run(t, "invoke-down")
	answer, line := invoke[fetch.Answer](t, w, "invoke-fetch-package")
	checkArchived(t, answer, line)
}

// If a function fails, the target fails.
func TestFailureIsTold(t *testing.T) {
	dir := t.TempDir()
	answer := []byte(`{"errorMessage": "no table", "errorType": "errorString"}`)
	if err := os.WriteFile(filepath.Join(dir, "answer"), answer, 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "tools/local", "outcome", "PollFunction")
	command.Dir = filepath.Join("..", "..", "..")
	command.Env = append(os.Environ(), "LOCAL_DIR="+dir, "LOCAL_ADDRESS=127.0.0.1", "LOCAL_PORT=1")
	out, err := command.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "the function failed: no table") {
		t.Errorf("got %v, %q", err, out)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
