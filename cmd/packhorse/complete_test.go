package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"packhorse/cmd/packhorse/datafolder"
	"packhorse/cmd/packhorse/embedded"
	"packhorse/cmd/packhorse/embedded/ledgertest"
	"packhorse/internal/investigation"
)

// completed returns what the shell would offer for the last argument, and fails if anything else is written.
func completed(t *testing.T, args ...string) (offers []string, directive string) {
	t.Helper()
	got := inProcess(nil, append([]string{"__complete"}, args...)...)
	if got.code != exitDone || strings.Contains(got.stderr, "rror") {
		t.Errorf("%q: %+v", args, got)
	}
	all := lines(got.stdout)
	return all[:len(all)-1], all[len(all)-1]
}

// TestComplete: in a ledger of 2,000 packages, the shell offers ids, hosts, cases, requestors and tenants that
// begin with what was typed.
func TestComplete(t *testing.T) {
	t.Parallel()
	data := filledFolder(t, 2000)
	all := listed(t, data)
	id, host, caseID := all[7].ActionID, ledgertest.Host(1), ledgertest.Case(1)
	for _, command := range []string{"show", "custody", "verify", "list"} {
		offers, directive := completed(t, command, "--data", data, id[:30])
		if len(offers) != 1 || !strings.HasPrefix(offers[0], id+"\t"+all[7].ComputerDNSName) || directive != ":4" {
			t.Errorf("%s %s: %q %s", command, id[:30], offers, directive)
		}
		for _, name := range []string{host, caseID} {
			offers, _ := completed(t, command, "--data", data, strings.ToUpper(name[:len(name)-2]))
			found := false
			for _, offer := range offers {
				found = found || strings.HasPrefix(offer, name+"\tnewest: ")
			}
			if !found || len(offers) > completedMax {
				t.Errorf("%s %s: %q", command, name, offers)
			}
		}
		if offers, directive := completed(t, command, "--data", data, "./packa"); len(offers) != 0 || directive != ":0" {
			t.Errorf("%s: a path: %q %s", command, offers, directive)
		}
	}
	offers, _ := completed(t, "show", "--data", data, "")
	if len(offers) != 3*completedMax || !strings.Contains(offers[0], all[0].ComputerDNSName) {
		t.Errorf("%d offers: %q", len(offers), offers)
	}
	for flag, want := range map[string]string{
		"--machine": host + "\tnewest: ", "--case": caseID + "\tnewest: ", "--tenant": benchTenant, "--state": "notCollected",
	} {
		offers, _ := completed(t, "list", "--data", data, flag, want[:3])
		if !strings.Contains(strings.Join(offers, "\n"), want[:min(9, len(want))]) {
			t.Errorf("%s: %q", flag, offers)
		}
	}
	if offers, _ := completed(t, "list", "--data", data, "--tenant", "99999999-2222-4333-8444-555555555555", ""); len(offers) != 0 {
		t.Errorf("another tenant: %q", offers)
	}
	if offers, _ := completed(t, "show", "--data", data, id, ""); len(offers) != 0 {
		t.Errorf("a second argument: %q", offers)
	}
}

// TestCompleteCreatesNothing: without a ledger nothing is offered, written or created.
func TestCompleteCreatesNothing(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	for _, args := range [][]string{
		{"show", "--data", data, ""}, {"list", "--data", data, "--machine", ""}, {"verify", "--data", data, "--tenant", ""},
	} {
		if offers, directive := completed(t, args...); len(offers) != 0 || directive != ":4" {
			t.Errorf("%q: %q %s", args, offers, directive)
		}
	}
	if _, err := os.Stat(data); err == nil {
		t.Error("the data folder was created")
	}
	broken := t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, datafolder.Database), []byte("not a database"), 0o600); err != nil {
		t.Fatal(err)
	}
	if offers, _ := completed(t, "show", "--data", broken, ""); len(offers) != 0 {
		t.Errorf("a broken ledger: %q", offers)
	}
}

// TestCompleteHostileNames: what the shell gets is one line for each offer, without control characters or anything that
// a shell would act on.
func TestCompleteHostileNames(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	db, err := embedded.OpenDB(t.Context(), filepath.Join(data, datafolder.Database))
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"evil\x1b[2J", "evil\nhost", "evil\thost", "evil\u202ehost", "evil`reboot`", "$(reboot)", "a;b", "-rf", "good one"} {
		a := investigation.Action{
			ID:        investigation.ID{TenantID: benchTenant, ActionID: fmt.Sprintf("%040x", i+1)},
			MachineID: fmt.Sprintf("%040x", i+1), ComputerDNSName: name, CaseID: name, Requestor: name,
			Status: investigation.StatusPending, CreatedAt: time.Now(),
		}
		if _, err := embedded.NewLedger(db).Change(t.Context(), a.ID, investigation.Observe(a, time.Now())); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"show", "--data", data, ""}, {"list", "--data", data, "--requestor", ""}} {
		offers, _ := completed(t, args...)
		want := map[string]int{"show": 9 + 1 + 1, "list": 1}[args[0]]
		if len(offers) != want || strings.ContainsAny(strings.Join(offers, ""), "\x1b\u202e\n") {
			t.Errorf("%q: %q", args, offers)
		}
	}
}

// BenchmarkComplete measures a whole completion, in ledgers of growing size.
func BenchmarkComplete(b *testing.B) {
	for _, done := range benchSizes {
		data := filledFolder(b, done)
		b.Run(fmt.Sprint(done), func(b *testing.B) {
			for b.Loop() {
				if got := inProcess(nil, "__complete", "show", "--data", data, ""); len(lines(got.stdout)) < completedMax {
					b.Fatalf("%+v", got)
				}
			}
		})
	}
}
