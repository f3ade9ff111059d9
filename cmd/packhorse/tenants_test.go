package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/mde/mdesim"
)

// Tenants of a server beside the first.
const (
	fabrikam  = "00000002-0d5e-4b53-9a0e-3d1f6f0a9c11"
	northwind = "00000003-0d5e-4b53-9a0e-3d1f6f0a9c11"
	broken    = "00000004-0d5e-4b53-9a0e-3d1f6f0a9c11"
)

// wrongSecret is none that the simulated app has.
const wrongSecret = "Zq8~wrong.Secret-Value_0123456789abcdef"

// register runs packhorse tenant on a data folder.
func register(t *testing.T, environ []string, data string, args ...string) {
	t.Helper()
	says(t, inProcess(environ, append(append([]string{"tenant"}, args...), "--data", data)...), exitDone)
}

// servedLine holds fields of a line of --json.
type servedLine struct {
	Event, TenantID, Key, Message string
	OK                            *bool
	Archived, Open                int
	Judge                         *struct{ Passed bool }
}

func servedLines(t *testing.T, text string) (all []servedLine) {
	t.Helper()
	for _, one := range lines(text) {
		var l servedLine
		if err := json.Unmarshal([]byte(one), &l); err != nil || l.TenantID == "" {
			t.Fatalf("%v in %q", err, one)
		}
		all = append(all, l)
	}
	return all
}

// TestTenantWithAWrongSecret: beside it the others are served to the end, each under its own keys, within its own
// budget. The run names it once, and its exit code says that not everything is done.
func TestTenantWithAWrongSecret(t *testing.T) {
	t.Parallel()
	s := simulator(t, action(1))
	second := s.Join(fabrikam)
	for _, a := range []mdesim.Action{action(2), action(3)} {
		second.Add(a)
	}
	s.Join(broken).Add(action(4))
	data := filepath.Join(t.TempDir(), "data")
	secret := filepath.Join(t.TempDir(), "secret.txt")
	if err := os.WriteFile(secret, []byte(wrongSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	environ := environment(s)
	register(t, environ, data, "add", fabrikam, "--name", "Fabrikam")
	register(t, environ, data, "add", broken, "--name", "Broken", "--no-check", "--client-id", mdesim.Defaults().ClientID,
		"--secret-file", secret)

	got := packhorse(t, environ, "run", "--until-idle", "--json", "--data", data)
	if got.code != exitFailed || strings.Count(got.stderr, "the tenant fails") != 1 ||
		!strings.Contains(got.stderr, "not everything is done for 1 of 3 tenants:\n  Broken ("+broken+"): ") ||
		!strings.Contains(got.stderr, "Invalid client secret") || !strings.Contains(got.stderr, "advice: ") {
		t.Errorf("exit %d: %s", got.code, got.stderr)
	}
	archived, summaries := map[string]int{}, map[string]int{}
	for _, l := range servedLines(t, got.stdout) {
		switch l.Event {
		case "archived":
			archived[l.TenantID]++
			if parts, ok := investigation.ParseKey(l.Key); !ok || parts.TenantID != l.TenantID {
				t.Errorf("tenant %s: a package is under %s", l.TenantID, l.Key)
			}
		case "summary":
			summaries[l.TenantID] += 1 + l.Archived
		case "sweep":
			if *l.OK == (l.TenantID == broken) {
				t.Errorf("a sweep of %s: %t, %s", l.TenantID, *l.OK, l.Message)
			}
		}
	}
	own := mdesim.Defaults().TenantID
	if archived[own] != 1 || archived[fabrikam] != 2 || len(archived) != 2 {
		t.Errorf("archived %v", archived)
	}
	if summaries[own] != 2 || summaries[fabrikam] != 3 || summaries[broken] != 1 || len(summaries) != 3 {
		t.Errorf("summaries %v", summaries)
	}
	for sim, want := range map[*mdesim.Simulator]int{s.Simulator: 1, second: 2} {
		v := sim.Judge().Verdict()
		if v.Calls[mdesim.KindPackageURI] != want || v.MostInAnyMinute > 2 || len(v.BrokenRules) != 0 {
			t.Errorf("a judge saw %+v", v)
		}
	}
	if strings.Contains(got.stdout+got.stderr, "Zq8~") {
		t.Error("the wrong secret is told")
	}
	shown := packhorse(t, environ, "tenant", "list", "--data", data)
	if !strings.Contains(shown.stdout, "Invalid client secret") {
		t.Errorf("tenant list does not say what is wrong: %s", shown.stdout)
	}
}

// TestRegistryWhileRunning: a tenant that is added while the program runs is served within a minute, and one that is
// suspended is left alone from then on.
func TestRegistryWhileRunning(t *testing.T) {
	t.Parallel()
	s := simulator(t)
	first, second := s.Join(fabrikam), s.Join(northwind)
	for i, sim := range []*mdesim.Simulator{first, second} {
		sim.Add(action(i))
		waiting := action(10 + i) // so that the tenant is swept every five seconds
		waiting.CreatedAt, waiting.Steps = time.Now(), mdesim.Succeeding(time.Hour)
		sim.Add(waiting)
	}
	data := filepath.Join(t.TempDir(), "data")
	environ := environment(s, "DEFENDER_TENANT_ID", "")
	register(t, environ, data, "add", fabrikam, "--name", "Fabrikam")

	ctx, cancel := context.WithTimeout(t.Context(), childTimeout)
	defer cancel()
	cmd := command(ctx, t, environ, "run", "--json", "--data", data)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lists, sweeps, archived := 0, 0, map[string]bool{}
	for scanner := bufio.NewScanner(out); scanner.Scan(); {
		l := servedLines(t, scanner.Text())[0]
		if l.Event == "archived" {
			archived[l.TenantID] = true
		}
		switch {
		case l.Event == "archived" && l.TenantID == fabrikam:
			register(t, environ, data, "suspend", "Fabrikam")
			register(t, environ, data, "add", northwind, "--name", "Northwind")
		case l.Event == "archived" && l.TenantID == northwind: // Fabrikam was left in the same look
			lists = first.Judge().Verdict().Calls[mdesim.KindList]
		case l.Event == "sweep" && archived[northwind]:
			if l.TenantID == fabrikam {
				t.Error("the suspended tenant was swept")
			}
			if sweeps++; sweeps < 2 {
				continue
			}
			if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // the exit code is checked below
	if code := cmd.ProcessState.ExitCode(); code != exitDone || len(archived) != 2 || stderr.Len() > 0 {
		t.Errorf("exit %d, archived %v, %s", code, archived, stderr.String())
	}
	if got := first.Judge().Verdict().Calls[mdesim.KindList]; got != lists {
		t.Errorf("the suspended tenant was listed %d times more", got-lists)
	}
}

// TestOnlySuspendedTenants: there is nothing to do, and that is no error.
func TestOnlySuspendedTenants(t *testing.T) {
	t.Parallel()
	s := simulator(t)
	s.Join(fabrikam)
	data := filepath.Join(t.TempDir(), "data")
	environ := environment(s, "DEFENDER_TENANT_ID", "")
	register(t, environ, data, "add", fabrikam, "--name", "Fabrikam")
	register(t, environ, data, "suspend", "Fabrikam")
	got := packhorse(t, environ, "run", "--until-idle", "--data", data)
	if got.code != exitDone || !strings.Contains(got.stdout, "No tenant was served") || got.stderr != "" {
		t.Errorf("exit %d: %s%s", got.code, got.stdout, got.stderr)
	}
	register(t, environ, data, "remove", "Fabrikam")
	got = packhorse(t, environ, "run", "--until-idle", "--data", data)
	if got.code != exitUsage || !strings.Contains(got.stderr, "DEFENDER_TENANT_ID is missing") ||
		!strings.Contains(got.stderr, "packhorse tenant add") {
		t.Errorf("without any: exit %d: %s", got.code, got.stderr)
	}
}

// TestSimulatedTenants: a simulated run with several tenants, most of whose packages are one's.
func TestSimulatedTenants(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	got := packhorse(t, nil, "run", "--simulate", "4", "--tenants", "4", "--package-size", "300KiB", "--until-idle",
		"--json", "--data", data)
	if got.code != exitDone || got.stderr != "" {
		t.Fatalf("exit %d: %s", got.code, got.stderr)
	}
	archived := map[string]int{}
	all := servedLines(t, got.stdout)
	for i, l := range all {
		last := i >= len(all)-4
		if last != (l.Event == "summary") || last && (l.Judge == nil || !l.Judge.Passed) {
			t.Errorf("line %d of %d is %+v", i, len(all), l)
		}
		if l.Event == "summary" {
			archived[l.TenantID] = l.Archived
		}
	}
	total := 0
	for _, n := range archived {
		total += n
	}
	if len(archived) != 4 || total != 4 || archived[mdesim.Defaults().TenantID] != 2 {
		t.Errorf("archived %v", archived)
	}
	checkSecrets(t, nil, data, got)
	says(t, inProcess(nil, "tenant", "list", "--data", data), exitDone, "Contoso", "Fabrikam", "Northwind", "Woodgrove")
}
