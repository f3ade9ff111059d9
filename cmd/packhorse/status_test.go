package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"packhorse/cmd/packhorse/datafolder"
	"packhorse/cmd/packhorse/embedded"
	"packhorse/cmd/packhorse/embedded/ledgertest"
	"packhorse/internal/mde/mdesim"
	"packhorse/internal/tenant"
)

// TestStatus: of a data folder, for people and as JSON. It exits with 0 although nobody sweeps the tenant.
func TestStatus(t *testing.T) {
	t.Parallel()
	data := filledFolder(t, 100)
	got := inProcess(nil, "status", "--data", data)
	if got.code != exitDone || got.stderr != "" || !strings.HasPrefix(got.stdout, "10 queued, the last in about ") ||
		!strings.Contains(got.stdout, "TO MEND\n* no sweep is on record\n  → start packhorse run") {
		t.Errorf("exit %d: %s%s", got.code, got.stdout, got.stderr)
	}
	type statusLine struct {
		Event   string
		Tenants []struct {
			Queue []struct {
				Position         int
				LinkAt, StoredAt time.Time
			}
			Budget   struct{ Calls int }
			Archived int
			Problems []struct{ What, Advice string }
		}
	}
	var line statusLine
	got = inProcess([]string{"PACKAGE_URI_PER_MINUTE=5", "PACKAGE_URI_PER_HOUR=300"}, "status", "--json", "--data", data)
	err := json.Unmarshal([]byte(got.stdout), &line)
	if err != nil || len(line.Tenants) != 1 || got.code != exitDone {
		t.Fatalf("%v: exit %d: %s%s", err, got.code, got.stdout, got.stderr)
	}
	of := line.Tenants[0]
	if len(of.Queue) != ledgertest.Ready || of.Budget.Calls != 5 || of.Archived != 90 || len(of.Problems) != 1 ||
		!of.Queue[4].LinkAt.Equal(of.Queue[0].LinkAt) || !of.Queue[5].LinkAt.After(of.Queue[4].LinkAt) {
		t.Errorf("got %+v", of)
	}
	other := "0b1c2d3e-4f50-4617-8293-a4b5c6d7e8f9"
	if got := inProcess(nil, "status", "--data", data, "--tenant", other); got.code != exitDone ||
		!strings.Contains(got.stdout, other) || !strings.HasPrefix(got.stdout, "Nothing to do.") {
		t.Errorf("another tenant: exit %d: %s%s", got.code, got.stdout, got.stderr)
	}
}

// TestStatusOfAFailingTenant: a message with a link or control characters never reaches the screen as such.
func TestStatusOfAFailingTenant(t *testing.T) {
	t.Parallel()
	data := filledFolder(t, 1)
	db, err := embedded.OpenDB(t.Context(), filepath.Join(data, datafolder.Database))
	if err != nil {
		t.Fatal(err)
	}
	h := tenant.Health{}.Failed(time.Now().Add(-time.Hour), "").Failed(time.Now(), "Entra ID: \x1b[2Jno \u202econsent")
	if err := embedded.NewLedger(db).SetHealth(t.Context(), benchTenant, h); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{}, {"--json"}} {
		got := inProcess(nil, append([]string{"status", "--data", data}, args...)...)
		if got.code != exitDone || !strings.Contains(got.stdout, "Entra ID") || strings.ContainsAny(got.stdout, "\x1b\u202e") {
			t.Errorf("%q: exit %d: %q", args, got.code, got.stdout)
		}
	}
}

func TestStatusRefuses(t *testing.T) {
	t.Parallel()
	none := t.TempDir()
	for _, test := range []struct {
		environ []string
		args    []string
		code    int
		want    string
	}{
		{nil, []string{"--stack", "s", "--data", none}, exitUsage, "--stack excludes --data"},
		{nil, []string{"--tenant", "contoso"}, exitUsage, "--tenant"},
		{nil, []string{"extra"}, exitUsage, "extra"},
		{[]string{"PACKAGE_URI_PER_MINUTE=two"}, []string{"--data", none}, exitUsage, "PACKAGE_URI_PER_MINUTE"},
		{nil, []string{"--data", none}, exitFailed, "no ledger found"},
	} {
		got := inProcess(test.environ, append([]string{"status"}, test.args...)...)
		if got.code != test.code || !strings.Contains(got.stderr, test.want) || got.stdout != "" {
			t.Errorf("%q: exit %d: %s%s", test.args, got.code, got.stdout, got.stderr)
		}
	}
}

// ending is a writer that ends a context with the second status.
type ending struct {
	text bytes.Buffer
	end  func()
}

func (e *ending) Write(p []byte) (int, error) {
	n, err := e.text.Write(p)
	if strings.Count(e.text.String(), "queued, the last in") == 2 {
		e.end()
	}
	return n, err
}

// TestStatusWatch: without a terminal, each reading is a block with a time, without control characters. An interrupt is
// a clean end.
func TestStatusWatch(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out := &ending{end: cancel}
	root := Main{}.command()
	root.SetArgs([]string{"status", "--watch", "--data", filledFolder(t, 1)})
	root.SetOut(out)
	if err := root.ExecuteContext(ctx); err != nil {
		t.Fatal(err)
	}
	if text := out.text.String(); strings.Count(text, "\n\n== ") != 1 || strings.Contains(text, "\x1b") ||
		!strings.HasPrefix(text, "== ") {
		t.Errorf("got %s", text)
	}
}

// TestStatusReadsNothingThatIsFinished: a status would not even notice that the finished records are malformed.
func TestStatusReadsNothingThatIsFinished(t *testing.T) {
	t.Parallel()
	data := filledFolder(t, 2_000)
	raw, err := sql.Open("sqlite", filepath.Join(data, datafolder.Database))
	if err == nil {
		_, err = raw.ExecContext(t.Context(), "UPDATE actions SET record = 'x' WHERE announced_at <> ''")
	}
	if err == nil {
		err = raw.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	got := inProcess(nil, "status", "--data", data)
	if got.code != exitDone || !strings.Contains(got.stdout, " archived, ") ||
		strings.Contains(got.stdout, "malformed") {
		t.Errorf("exit %d: %s%s", got.code, got.stdout, got.stderr)
	}
}

// BenchmarkStatusCommand measures the whole command.
func BenchmarkStatusCommand(b *testing.B) {
	for _, done := range benchSizes {
		data := filledFolder(b, done)
		b.Run(fmt.Sprint(done), func(b *testing.B) {
			for b.Loop() {
				if got := inProcess(nil, "status", "--data", data); got.code != exitDone || len(got.stdout) < 200 {
					b.Fatalf("exit %d: %s%s", got.code, got.stdout, got.stderr)
				}
			}
		})
	}
}

// TestStatusAfterARefusedSignIn: a run that cannot even sign in has failed to sweep, and the status says why.
func TestStatusAfterARefusedSignIn(t *testing.T) {
	t.Parallel()
	s, data := simulator(t, action(1)), t.TempDir()
	if got := packhorse(t, environment(s), "run", "--until-idle", "--data", data); got.code != exitDone {
		t.Fatalf("exit %d: %s", got.code, got.stderr)
	}
	if got := inProcess(nil, "status", "--data", data); !strings.Contains(got.stdout, "Sweeps     the last one ") ||
		!strings.HasPrefix(got.stdout, "Nothing to do.") {
		t.Errorf("after a run: %s%s", got.stdout, got.stderr)
	}
	s.SetFaults(mdesim.Faults{SecretExpired: true})
	if got := packhorse(t, environment(s), "run", "--until-idle", "--data", data); got.code == exitDone {
		t.Fatalf("exit %d: %s", got.code, got.stderr)
	}
	got := inProcess(nil, "status", "--json", "--data", data)
	if !strings.Contains(got.stdout, `"failingSince":`) || !strings.Contains(got.stdout, "AADSTS7000222") ||
		strings.Contains(got.stdout, mdesim.Defaults().ClientSecret) {
		t.Errorf("after a refusal: %s%s", got.stdout, got.stderr)
	}
}
