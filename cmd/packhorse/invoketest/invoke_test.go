//go:build cloud

package invoketest

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"packhorse/internal/eventbus"
	"packhorse/internal/fetch"
	"packhorse/internal/investigation"
	"packhorse/internal/mde/mdesim"
	"packhorse/internal/poll"
)

// makeTimeout bounds one target: a build, a start and an invocation of a minute.
const makeTimeout = 5 * time.Minute

// workshop is a folder and a port of our own, so that what a developer has running is left alone.
type workshop struct{ dir, port string }

// run runs a target in the repository's root, and returns what it prints to standard output.
func (w workshop) run(t *testing.T, target string, variables ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), makeTimeout) // it also cleans up
	defer cancel()
	args := append([]string{"--no-print-directory", target, "INVOKE_DIR=" + w.dir, "LOCAL_PORT=" + w.port},
		variables...)
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

// invoke returns the function's answer: the last line of JSON.
func invoke[T any](t *testing.T, w workshop, target string, variables ...string) T {
	t.Helper()
	out := w.run(t, target, variables...)
	var answer T
	lines := strings.Split(strings.TrimSpace(out), "\n")
	decoder := json.NewDecoder(strings.NewReader(lines[len(lines)-1]))
	decoder.DisallowUnknownFields() // an errorMessage is no answer
	if err := decoder.Decode(&answer); err != nil {
		t.Fatalf("make %s: %v\n%s", target, err, out)
	}
	return answer
}

// TestInvoke has the poll function find the packages, and the fetch function carry one of them,
// refuse an action it does not know, and refuse what is none of its events.
func TestInvoke(t *testing.T) {
	w := workshop{dir: t.TempDir(), port: freePort(t)}
	defer w.run(t, "invoke-down")

	found := invoke[poll.Answer](t, w, "invoke-poll")
	if found.Sweeps == 0 || found.Seen != 4 || found.Ready == 0 || found.HandedOver == 0 {
		t.Errorf("the poll function answers %+v", found)
	}

	const tenant, file = "7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11", "ready.json"
	ready := mdesim.Scenario(1, 1, time.Now(), nil)[0].ID
	detail := eventbus.NewWork(investigation.ID{TenantID: tenant, ActionID: ready})
	text, err := json.Marshal(map[string]any{
		"source": eventbus.Source, "detail-type": eventbus.TypeReady, "detail": detail,
	})
	if err != nil {
		t.Fatal(err)
	}
	event := filepath.Join(w.dir, file)
	if err := os.WriteFile(event, text, 0o600); err != nil {
		t.Fatal(err)
	}
	carried := invoke[fetch.Answer](t, w, "invoke-fetch-package", "EVENT="+event)
	if carried.Outcome != fetch.OutcomeArchived || carried.ActionID != ready || carried.Bytes != 700<<10 {
		t.Errorf("the fetch function answers %+v", carried)
	}
	for _, event := range []string{"events/fetch-package.json", "events/busted_tenant.json"} {
		refused := invoke[fetch.Answer](t, w, "invoke-fetch-package", "EVENT="+event)
		if refused.Outcome != fetch.OutcomeRefused || refused.Reason == "" {
			t.Errorf("%s: the fetch function answers %+v", event, refused)
		}
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
