package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"packhorse/cmd/packhorse/console"
	"packhorse/cmd/packhorse/datafolder"
	"packhorse/internal/investigation"
	"packhorse/internal/mde/mdesim"
)

// line holds fields of a line of --json.
type line struct {
	Event, ActionID, Bucket, Key, SHA256, ManifestKey, Reason, Message string
	Size                                                               int64
	Archived, NotCollected, Waiting, Open, Earlier                     int
	Judge                                                              *console.Judgement
}

// jsonLines parses the lines of --json. It fails the test if a line is invalid or the last is not a summary.
func jsonLines(t *testing.T, o outcome) (events []line, summary line) {
	t.Helper()
	for _, text := range lines(o.stdout) {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil || l.Event == "" {
			t.Fatalf("invalid line %q: %v", text, err)
		}
		events = append(events, l)
	}
	if len(events) == 0 || events[len(events)-1].Event != "summary" {
		t.Fatalf("the last line is not a summary: %q\n%s", o.stdout, o.stderr)
	}
	last := len(events) - 1
	for _, e := range events[:last] {
		if e.Event == "summary" {
			t.Error("there is more than one summary")
		}
	}
	return events[:last], events[last]
}

func of(event string, events []line) []line {
	var some []line
	for _, e := range events {
		if e.Event == event {
			some = append(some, e)
		}
	}
	return some
}

// stored hashes the file of an archived event and checks that the manifest next to it has that hash.
func stored(t *testing.T, data string, e line) (size int64, sum string) {
	t.Helper()
	folder := filepath.Join(data, datafolder.S3, e.Bucket)
	text, err := os.ReadFile(filepath.Join(folder, filepath.FromSlash(e.Key)))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := os.ReadFile(filepath.Join(folder, filepath.FromSlash(e.ManifestKey)))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(manifest, []byte(e.SHA256)) {
		t.Errorf("the manifest does not name the SHA-256: %s", manifest)
	}
	digest := sha256.Sum256(text)
	return int64(len(text)), hex.EncodeToString(digest[:])
}

func TestSimulatedRun(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	got := packhorse(t, nil, "run", "--simulate", "2", "--package-size", "300KiB,6MiB", "--until-idle",
		"--json", "--data", data)
	if got.code != exitDone || got.stderr != "" {
		t.Fatalf("exit %d: %s", got.code, got.stderr)
	}
	events, summary := jsonLines(t, got)
	archived := of("archived", events)
	if len(archived) != 2 || summary.Archived != 2 || summary.Open != 0 {
		t.Fatalf("not archived: %+v", summary)
	}
	sizes := map[int64]bool{}
	for _, e := range archived {
		size, sum := stored(t, data, e)
		if sum != e.SHA256 || size != e.Size {
			t.Errorf("%s: the file differs", e.Key)
		}
		sizes[size] = true
	}
	if !sizes[300<<10] || !sizes[6<<20] {
		t.Errorf("the sizes are not those asked for: %v", sizes)
	}
	j := summary.Judge
	if j == nil || !j.Passed || j.PackageURICalls != 2 || j.FilesCompared != 2 || j.FilesDifferent != 0 ||
		j.Leaks != 0 || j.MostPerArchived != 1 || j.BrokenRules == nil || len(j.BrokenRules) != 0 {
		t.Errorf("the judge says %+v", j)
	}
	checkSecrets(t, nil, data, got)
}

// TestSimulatedTable is the same run with a table instead of JSON.
func TestSimulatedTable(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	got := packhorse(t, nil, "run", "--simulate", "1", "--package-size", "300KiB", "--until-idle",
		"--data", data)
	if got.code != exitDone {
		t.Fatalf("exit %d: %s", got.code, got.stderr)
	}
	for _, want := range []string{"HOST ", "contoso.com", "300.0 KiB", "1 archived (300.0 KiB)",
		"Judge: PASS", "1 of 1 stored files equal what was served"} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("there is no %q in %s", want, got.stdout)
		}
	}
	for _, want := range []string{"ready ", "fetching ", "archived "} {
		if !strings.Contains(got.stderr, want) {
			t.Errorf("there is no %q in %s", want, got.stderr)
		}
	}
	checkSecrets(t, nil, data, got)
}

// TestTenant runs twice with only the environment, as for a real tenant.
func TestTenant(t *testing.T) {
	t.Parallel()
	failed := action(3)
	failed.Steps = mdesim.Ending(time.Minute, "Failed")
	s := simulator(t, action(1), action(2), failed)
	data := t.TempDir()

	first := packhorse(t, environment(s), "run", "--until-idle", "--json", "--data", data)
	if first.code != exitDone || first.stderr != "" {
		t.Fatalf("exit %d: %s", first.code, first.stderr)
	}
	events, summary := jsonLines(t, first)
	if summary.Archived != 2 || summary.NotCollected != 1 || summary.Judge != nil {
		t.Errorf("the summary says %+v", summary)
	}
	for _, e := range of("archived", events) {
		wantSize, want := s.Package(e.ActionID)
		if size, sum := stored(t, data, e); sum != want || e.SHA256 != want || size != wantSize {
			t.Errorf("action %s: %s is not what was served", e.ActionID, e.Key)
		}
	}
	if lost := of("notCollected", events); len(lost) != 1 || lost[0].Reason != "Failed" {
		t.Errorf("not collected: %+v", lost)
	}
	before := s.Judge().Verdict()
	if before.Calls[mdesim.KindPackageURI] != 2 || before.Leaks != 0 || len(before.BrokenRules) != 0 ||
		before.MostInAnyMinute > 2 {
		t.Errorf("the judge saw %+v", before)
	}

	second := packhorse(t, environment(s), "run", "--until-idle", "--data", data)
	if second.code != exitDone || !strings.Contains(second.stdout, "0 archived") ||
		!strings.Contains(second.stdout, "3 done earlier") {
		t.Errorf("again: exit %d, %s%s", second.code, second.stdout, second.stderr)
	}
	after := s.Judge().Verdict()
	for _, kind := range []mdesim.Kind{mdesim.KindPackageURI, mdesim.KindDownload} {
		if after.Calls[kind] != before.Calls[kind] {
			t.Errorf("again: %d calls of %s more", after.Calls[kind]-before.Calls[kind], kind)
		}
	}
	if after.Calls[mdesim.KindList] == before.Calls[mdesim.KindList] {
		t.Error("again: the tenant was not looked at")
	}
	if len(s.Links()) != 2 {
		t.Fatalf("%d links were given out: the search for them means nothing", len(s.Links()))
	}
	checkSecrets(t, s, data, first, second)
}

// TestNothingBegun: a rejected credential or setting ends the run, and nothing is created before the first token.
func TestNothingBegun(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		environ []string // pairs
		faults  mdesim.Faults
		says    []string
		token   bool // the run got a token; the API rejects it
	}{
		"wrong secret": {
			environ: []string{"DEFENDER_CLIENT_SECRET", "Zq8~wrong.Secret-Value_0123456789abcdef"},
			says:    []string{"Invalid client secret", "secret's value (not its ID)"},
		},
		"expired secret": {
			faults: mdesim.Faults{SecretExpired: true},
			says:   []string{"expired", "create a new one"},
		},
		"wrong application": {
			environ: []string{"DEFENDER_CLIENT_ID", "00000000-0000-4000-8000-000000000000"},
			says:    []string{"DEFENDER_CLIENT_ID"},
		},
		"no consent": {
			faults: mdesim.Faults{TokenWithoutRoles: true},
			says:   []string{"Machine.Read.All"},
		},
		"no permission": {
			faults: mdesim.Faults{Status: map[mdesim.Kind]int{mdesim.KindList: 403}},
			says:   []string{"403", "admin consent"}, token: true,
		},
		"another API": {
			faults: mdesim.Faults{Status: map[mdesim.Kind]int{mdesim.KindList: 404}},
			says:   []string{"404"}, token: true,
		},
		"untrusted TLS": {
			environ: []string{"DEFENDER_CA_PEM", ""},
			says:    []string{"DEFENDER_CA_PEM"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := simulator(t, action(1))
			s.SetFaults(c.faults)
			data := filepath.Join(t.TempDir(), "data")
			got := packhorse(t, environment(s, c.environ...), "run", "--until-idle", "--data", data)
			if got.code != exitFailed || got.stdout != "" {
				t.Errorf("exit %d, %q", got.code, got.stdout)
			}
			said := lines(got.stderr)
			if c.token { // the first line says which tenant it is
				said = said[1:]
			}
			if len(said) != 1 || !strings.HasPrefix(said[0], "packhorse: ") {
				t.Errorf("got %q, want one line", said)
			}
			for _, want := range c.says {
				if !strings.Contains(got.stderr, want) {
					t.Errorf("%q does not say %q", got.stderr, want)
				}
			}
			switch _, err := os.Stat(data); {
			case !c.token && !errors.Is(err, fs.ErrNotExist):
				t.Errorf("the data folder was made: %v", err)
			case c.token && len(ledgerRecords(t, data)) != 0:
				t.Errorf("the ledger has %+v", ledgerRecords(t, data))
			}
			verdict := s.Judge().Verdict()
			if verdict.Calls[mdesim.KindPackageURI] != 0 || len(verdict.BrokenRules) != 0 {
				t.Errorf("the judge saw %+v", verdict)
			}
			if strings.Contains(got.stderr, "Zq8~") {
				t.Error("the wrong secret is told")
			}
			if c.token {
				checkSecrets(t, s, data, got)
			}
		})
	}
}

// TestInterrupted stops a run during a download and continues in a second run.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	s := simulator(t, action(1))
	s.SetFaults(mdesim.Faults{
		Downloads: map[string][]mdesim.Download{"": {mdesim.DownloadStalled}},
	})
	data := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), childTimeout)
	defer cancel()
	cmd := command(ctx, t, environment(s), "run", "--until-idle", "--json", "--data", data)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var first outcome
	for scanner := bufio.NewScanner(out); scanner.Scan(); {
		first.stdout += scanner.Text() + "\n"
		if strings.Contains(scanner.Text(), `"downloading"`) {
			if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // the exit code is checked below
	first.code, first.stderr = cmd.ProcessState.ExitCode(), stderr.String()
	if first.code != exitFailed || !strings.Contains(first.stderr, "run again to continue") {
		t.Errorf("interrupted: exit %d, %s", first.code, first.stderr)
	}
	if _, summary := jsonLines(t, first); summary.Open != 1 || summary.Archived != 0 {
		t.Errorf("interrupted: the summary says %+v", summary)
	}
	left := ledgerRecords(t, data)
	if len(left) != 1 || left[0].State != investigation.StateReady || left[0].Attempts != 1 {
		t.Fatalf("interrupted: the ledger has %+v", left)
	}

	s.SetFaults(mdesim.Faults{})
	second := packhorse(t, environment(s), "run", "--until-idle", "--json", "--data", data)
	events, summary := jsonLines(t, second)
	if second.code != exitDone || summary.Archived != 1 {
		t.Fatalf("again: exit %d, %+v, %s", second.code, summary, second.stderr)
	}
	for _, e := range of("archived", events) {
		_, want := s.Package(e.ActionID)
		if _, sum := stored(t, data, e); sum != want {
			t.Errorf("again: %s is not what was served", e.Key)
		}
	}
	verdict := s.Judge().Verdict()
	if verdict.Calls[mdesim.KindPackageURI] != 2 || verdict.Throttled != 0 {
		t.Errorf("the judge saw %+v", verdict)
	}
	checkSecrets(t, s, data, first, second)
}

// TestSimulate serves a tenant in one process and archives its packages in another, using the environment that
// the first one prints.
func TestSimulate(t *testing.T) {
	t.Parallel()
	caFile := filepath.Join(t.TempDir(), "ca.pem")
	ctx, cancel := context.WithTimeout(t.Context(), childTimeout)
	defer cancel()
	cmd := command(ctx, t, nil, "simulate", "--actions", "1", "--package-size", "300KiB",
		"--ca-file", caFile)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var environ []string
	scanner := bufio.NewScanner(out)
	for len(environ) < 6 && scanner.Scan() {
		environ = append(environ, scanner.Text())
	}
	ca, err := os.ReadFile(caFile)
	if err != nil {
		t.Fatalf("%v; it printed %q", err, environ)
	}
	environ = append(environ, "DEFENDER_CA_PEM="+string(ca))

	got := packhorse(t, environ, "run", "--until-idle", "--json", "--data", t.TempDir())
	if _, summary := jsonLines(t, got); got.code != exitDone || summary.Archived != 1 {
		t.Errorf("exit %d, %+v, %s", got.code, summary, got.stderr)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if scanner.Scan() {
		t.Errorf("it prints more than the environment: %q", scanner.Text())
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it did not end cleanly: %v", err)
	}
}
