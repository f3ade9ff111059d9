//go:build kill

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"packhorse/cmd/packhorse/datafolder"
	"packhorse/internal/investigation"
	"packhorse/internal/mde/mdesim"
)

const (
	kills = 10

	// livesMax bounds how long a process lives before it is killed: long enough to have started every kind
	// of work.
	livesMax = 20 * time.Second

	// afterCallMax bounds how long every other process lives after requesting a link. These are killed
	// between the request and the announcement, which is the critical part.
	afterCallMax = 700 * time.Millisecond

	// lastLife bounds the final run, which first has to wait for the leases of the killed ones.
	lastLife = 10 * time.Minute
)

// TestKilledAtRandom kills the program ten times without warning, with the real budget of two calls a minute,
// and lets the eleventh run finish: every package is stored once and intact, and the budget was kept across
// all eleven. It takes about ten minutes, hence the build tag (make kill).
func TestKilledAtRandom(t *testing.T) {
	var actions []mdesim.Action
	for i := range 8 {
		a := action(i)
		a.PackageSize = int64(i+1) * (24 << 20) // large enough to be killed halfway
		actions = append(actions, a)
	}
	s := simulator(t, actions...)
	data := t.TempDir()
	var printed []outcome
	for i := range kills {
		cmd := command(t.Context(), t, environment(s), "run", "--until-idle", "--json", "--data", data)
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if i%2 == 0 {
			time.Sleep(rand.N(livesMax))
		} else {
			awaitCall(s)
			time.Sleep(rand.N(afterCallMax))
		}
		_ = cmd.Process.Kill() // it may already have ended
		_ = cmd.Wait()
		printed = append(printed, outcome{stdout: stdout.String(), stderr: stderr.String()})
		t.Logf("life %d: %v, %d link calls so far, %d packages served whole", i+1,
			time.Since(began).Round(time.Millisecond), calls(s), len(s.Judge().Verdict().Served))
	}

	cmd := command(t.Context(), t, environment(s), "run", "--until-idle", "--json", "--data", data)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	killer := time.AfterFunc(lastLife, func() { _ = cmd.Process.Kill() })
	defer killer.Stop()
	if err := cmd.Run(); err != nil {
		t.Fatalf("the last run: %v: %s", err, stderr.String())
	}
	printed = append(printed, outcome{stdout: stdout.String(), stderr: stderr.String()})

	checkStored(t, s, data, actions)
	if got := packhorse(t, nil, "verify", "--data", data); got.code != exitDone {
		t.Errorf("the evidence: exit %d: %s%s", got.code, got.stdout, got.stderr)
	}
	checkSecrets(t, s, data, printed...)
	verdict := s.Judge().Verdict()
	t.Logf("the judge: %+v", verdict)
	if verdict.MostInAnyMinute > 2 || verdict.Leaks != 0 || len(verdict.BrokenRules) != 0 {
		t.Errorf("the judge says %+v", verdict)
	}
}

// calls returns the number of requests for a link.
func calls(s *mdesim.Server) int { return s.Judge().Verdict().Calls[mdesim.KindPackageURI] }

// awaitCall waits at most two minutes for the next request for a link: it may never come.
func awaitCall(s *mdesim.Server) {
	before, began := calls(s), time.Now()
	for calls(s) == before && time.Since(began) < 2*time.Minute {
		time.Sleep(time.Millisecond)
	}
}

// checkStored compares every package of the data folder with what the simulator served.
func checkStored(t *testing.T, s *mdesim.Server, data string, actions []mdesim.Action) {
	t.Helper()
	files := map[string]string{} // SHA-256 by action
	err := filepath.WalkDir(filepath.Join(data, datafolder.S3), func(path string, e fs.DirEntry, err error,
	) error {
		if err != nil || !strings.HasSuffix(path, ".zip") || !e.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		_, id, _ := strings.Cut(strings.TrimSuffix(filepath.Base(path), ".zip"), "_")
		if files[id] != "" {
			t.Errorf("action %s is stored twice", id)
		}
		sum := sha256.Sum256(text)
		files[id] = hex.EncodeToString(sum[:])
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(actions) {
		t.Errorf("got %d packages, want %d", len(files), len(actions))
	}
	for _, a := range actions {
		if _, sum := s.Package(a.ID); files[a.ID] != sum {
			t.Errorf("action %s: got SHA-256 %s, served %s", a.ID, files[a.ID], sum)
		}
	}
	for _, rec := range ledgerRecords(t, data) {
		if rec.State != investigation.StateDone {
			t.Errorf("action %s is %s", rec.ActionID, rec.State)
		}
	}
}
