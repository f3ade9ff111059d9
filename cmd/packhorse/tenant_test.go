package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"packhorse/cmd/packhorse/datafolder"
	"packhorse/cmd/packhorse/embedded"
	"packhorse/internal/investigation"
	"packhorse/internal/mde/mdesim"
	"packhorse/internal/tenant"
)

// enrolment is a data folder, a simulated tenant, and the environment that new tenants inherit: the app's, without a
// tenant and a credential of its own.
type enrolment struct {
	t      *testing.T
	data   string
	server *mdesim.Server
	base   []string
}

func newEnrolment(t *testing.T) enrolment {
	t.Helper()
	s := simulator(t, action(1))
	return enrolment{
		t: t, data: filepath.Join(t.TempDir(), "data"), server: s,
		base: environment(s, "DEFENDER_TENANT_ID", "", "DEFENDER_CLIENT_SECRET", ""),
	}
}

// run runs packhorse tenant on the data folder.
func (e enrolment) run(args ...string) outcome {
	e.t.Helper()
	o := inProcess(e.base, append(append([]string{"tenant"}, args...), "--data", e.data)...)
	if strings.Contains(o.stdout+o.stderr, mdesim.Defaults().ClientSecret) {
		e.t.Errorf("the secret is shown: %+v", o)
	}
	return o
}

// secretFile writes a client secret to a file.
func (e enrolment) secretFile(text string) string {
	e.t.Helper()
	path := filepath.Join(e.t.TempDir(), "secret.txt")
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		e.t.Fatal(err)
	}
	return path
}

// add returns the arguments that add the simulated tenant.
func (e enrolment) add(more ...string) []string {
	config := mdesim.Defaults()
	return append([]string{
		"add", config.TenantID, "--name", "Contoso", "--client-id", config.ClientID,
		"--secret-file", e.secretFile(config.ClientSecret),
	}, more...)
}

// entries returns the registered tenants.
func (e enrolment) entries() []tenant.Tenant {
	e.t.Helper()
	db, err := embedded.OpenDB(e.t.Context(), filepath.Join(e.data, datafolder.Database))
	if err != nil {
		e.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	all, err := embedded.NewRegistry(db).List(e.t.Context())
	if err != nil {
		e.t.Fatal(err)
	}
	return all
}

// says fails unless the command ended like this, with these words in what it said.
func says(t *testing.T, o outcome, code int, words ...string) {
	t.Helper()
	if o.code != code {
		t.Errorf("exit code %d, want %d: %s%s", o.code, code, o.stdout, o.stderr)
	}
	for _, text := range words {
		if !strings.Contains(o.stdout+o.stderr, text) {
			t.Errorf("it does not say %q: %s%s", text, o.stdout, o.stderr)
		}
	}
}

// TestTenantLife: add, list, show, suspend, resume and remove; the secret is kept for the owner alone, and goes with
// the entry.
func TestTenantLife(t *testing.T) {
	e := newEnrolment(t)
	id := mdesim.Defaults().TenantID
	says(t, e.run(e.add("--per-hour", "60")...), exitDone, "tenant Contoso ("+id+") is registered", "signed in with",
		"Machine.Read.All")
	entry := e.entries()[0]
	secret := entry.Credential.SecretFile
	info, err := os.Stat(secret)
	if err != nil || info.Mode().Perm() != 0o600 || filepath.Dir(secret) != filepath.Join(e.data, "secrets") {
		t.Errorf("the secret is in %s: %v, %v", secret, info, err)
	}
	if got, err := os.ReadFile(secret); err != nil || string(got) != mdesim.Defaults().ClientSecret {
		t.Errorf("it is %q, %v", got, err)
	}
	says(t, e.run("list"), exitDone, "Contoso", id, "active", "not swept yet")
	says(t, e.run("show", "contoso"), exitDone, "per-hour", "60", "secret-file")
	says(t, e.run("suspend", "Contoso"), exitDone, "is suspended now")
	says(t, e.run("suspend", id), exitDone, "is suspended already")
	says(t, e.run("list"), exitDone, "suspended")
	says(t, e.run("resume", "CONTOSO"), exitDone, "is active now")
	says(t, e.run("show", "Fabrikam"), exitFailed, `no tenant "Fabrikam" is registered`, "packhorse tenant list shows")

	var line struct {
		Event, TenantID, Name, State string
		Fields                       map[string]string
	}
	o := e.run("list", "--json")
	if err := json.Unmarshal([]byte(o.stdout), &line); err != nil || line.Event != "tenant" || line.TenantID != id ||
		line.Name != "Contoso" || line.State != "active" || line.Fields["per-hour"] != "60" {
		t.Errorf("got %+v, %v", line, err)
	}
	says(t, e.run("remove", "Contoso"), exitDone, "is no longer registered")
	if len(e.entries()) != 0 {
		t.Error("it is still registered")
	}
	if _, err := os.Stat(secret); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the secret is still there: %v", err)
	}
}

// TestTenantAddSaysWhatIsMissing: and stores nothing, not even a data folder.
func TestTenantAddSaysWhatIsMissing(t *testing.T) {
	config := mdesim.Defaults()
	for name, c := range map[string]struct {
		args   []string
		faults func(*mdesim.Server)
		code   int
		words  []string
	}{
		"a wrong secret": {
			args: []string{"--client-id", config.ClientID, "--secret-file", "WRONG"}, code: exitFailed,
			words: []string{"its app gets no token", "the client secret is wrong", "--client-id", "--no-check"},
		},
		"everything at once": {
			args: []string{"--client-id", config.ClientID, "--secret-file", "WRONG", "--per-minute", "3", "--cloud", "moon",
				"--case-pattern", "(", "--lookback", "1h"}, code: exitUsage,
			words: []string{"4 fields are wrong", "per-minute: is \"3\"", "cloud: is \"moon\"", "case-pattern: ", "lookback: "},
		},
		"no credential": {
			args: []string{"--client-id", config.ClientID}, code: exitUsage, words: []string{"credential: want a credential of its own"},
		},
		"two credentials": {
			args: []string{"--client-id", config.ClientID, "--secret-file", "WRONG", "--certificate-file", "x.pem"}, code: exitUsage,
			words: []string{"--secret-file excludes"},
		},
	} {
		e := newEnrolment(t)
		args := []string{"add", config.TenantID, "--name", "Contoso"}
		for _, arg := range c.args {
			if arg == "WRONG" {
				arg = e.secretFile("wrong~value-of-a-secret")
			}
			args = append(args, arg)
		}
		o := e.run(args...)
		says(t, o, c.code, c.words...)
		if strings.Contains(o.stdout+o.stderr, "wrong~value") || strings.Contains(o.stderr, "DEFENDER_") {
			t.Errorf("%s: it says %s", name, o.stderr)
		}
		if _, err := os.Stat(e.data); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the data folder was made", name)
		}
	}
}

// TestTenantAddAndConsent: without roles, an administrator has to consent.
func TestTenantAddAndConsent(t *testing.T) {
	e := newEnrolment(t)
	config := mdesim.Defaults()
	e.server.SetFaults(mdesim.Faults{TokenWithoutRoles: true})
	link := e.server.APIURL + "/" + config.TenantID + "/adminconsent?client_id=" + config.ClientID
	says(t, e.run(e.add()...), exitFailed, "grants no application permission", "an administrator of the tenant opens this link: "+link)
	says(t, e.run(e.add("--no-check")...), exitDone, "is registered", "not checked")
	says(t, e.run("consent", "Contoso"), exitDone, link)
	says(t, e.run("consent", "Contoso", "--check"), exitFailed, "grants no application permission")
	e.server.SetFaults(mdesim.Faults{})
	says(t, e.run("consent", "Contoso", "--check", "--redirect-uri", "https://a.test/x"), exitDone,
		link+"&redirect_uri=https%3A%2F%2Fa.test%2Fx", "signed in with")
}

// TestTenantReplace: the entry changes, its state stays, and the old secret goes.
func TestTenantReplace(t *testing.T) {
	e := newEnrolment(t)
	says(t, e.run(e.add()...), exitDone)
	says(t, e.run("suspend", "Contoso"), exitDone)
	before := e.entries()[0]
	says(t, e.run(e.add()...), exitFailed, "is registered already", "--replace")
	if after := e.entries(); !slices.Equal(after, []tenant.Tenant{before}) {
		t.Errorf("got %+v", after)
	}
	says(t, e.run(e.add("--replace", "--per-minute", "1")...), exitDone)
	after := e.entries()[0]
	if after.State != tenant.Suspended || after.PerMinute != 1 || after.CreatedAt != before.CreatedAt ||
		after.Credential.SecretFile == before.Credential.SecretFile {
		t.Errorf("got %+v", after)
	}
	files, err := os.ReadDir(filepath.Join(e.data, "secrets"))
	if err != nil || len(files) != 1 || files[0].Name() != filepath.Base(after.Credential.SecretFile) {
		t.Errorf("the secrets are %v, %v", files, err)
	}
}

// TestTenantNames: no two tenants have the same name.
func TestTenantNames(t *testing.T) {
	e := newEnrolment(t)
	one, other := "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
	rest := []string{"--client-id", one, "--credential", "federated", "--no-check"}
	says(t, e.run(append([]string{"add", one, "--name", "Fabrikam"}, rest...)...), exitDone)
	says(t, e.run(append([]string{"add", other, "--name", "FABRIKAM"}, rest...)...), exitFailed,
		"cannot have this name: tenant "+one+" has it", "choose another --name")
	says(t, e.run(append([]string{"add", other, "--name", other}, rest...)...), exitUsage, "name: want 1 to 60")
	if all := e.entries(); len(all) != 1 {
		t.Errorf("got %+v", all)
	}
}

// TestTenantRemoveRefuses: while something is not concluded.
func TestTenantRemoveRefuses(t *testing.T) {
	e := newEnrolment(t)
	says(t, e.run(e.add()...), exitDone)
	db, err := embedded.OpenDB(t.Context(), filepath.Join(e.data, datafolder.Database))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	a := investigation.Action{
		ID:        investigation.ID{TenantID: mdesim.Defaults().TenantID, ActionID: mdesim.IDOf("cli", 1)},
		MachineID: mdesim.MachineOf("cli", 1), Status: investigation.StatusPending, CreatedAt: now, LastUpdatedAt: now,
	}
	ledger := embedded.NewLedger(db)
	_, err = ledger.Change(t.Context(), a.ID, investigation.Observe(a, now))
	ill := tenant.Health{}.Failed(now, "\x1b[31mEntra ID says no")
	err = errors.Join(err, ledger.SetHealth(t.Context(), a.TenantID, ill), db.Close())
	if err != nil {
		t.Fatal(err)
	}
	o := e.run("list")
	says(t, o, exitDone, "fails since", "Entra ID says no")
	if strings.Contains(o.stdout, "\x1b") {
		t.Errorf("got %q", o.stdout)
	}
	says(t, e.run("remove", "Contoso"), exitFailed, "1 of its actions are not concluded", "--force")
	if len(e.entries()) != 1 {
		t.Error("it was removed")
	}
	says(t, e.run("remove", "Contoso", "--force"), exitDone)
	if got := ledgerRecords(t, e.data); len(got) != 1 {
		t.Errorf("the ledger has %d records", len(got))
	}
}

// TestTenantByName: the flag --tenant of the other commands takes a registered name, too.
func TestTenantByName(t *testing.T) {
	e := newEnrolment(t)
	says(t, e.run(e.add()...), exitDone)
	says(t, inProcess(nil, "list", "--tenant", "contoso", "--data", e.data), exitDone, "no matching packages")
	says(t, inProcess(nil, "status", "--tenant", "contoso", "--data", e.data), exitDone, mdesim.Defaults().TenantID[:8])
	says(t, inProcess(nil, "list", "--tenant", "fabrikam", "--data", e.data), exitUsage, `--tenant: "fabrikam" is neither a GUID`,
		"no registered name")
	says(t, inProcess(nil, "list", "--tenant", "contoso", "--data", t.TempDir()), exitUsage, "no registered name")
	says(t, inProcess(nil, "list", "--tenant", "contoso", "--ledger", "table"), exitUsage, "only known with --stack or --data")
}

// TestTenantFlags: contradictions, and places without a registry.
func TestTenantFlags(t *testing.T) {
	empty := t.TempDir()
	says(t, inProcess(nil, "tenant", "list", "--data", empty), exitFailed, "has no registry of tenants", "packhorse tenant add makes one")
	if files, err := os.ReadDir(empty); err != nil || len(files) != 0 {
		t.Errorf("it left %v, %v", files, err)
	}
	says(t, inProcess(nil, "tenant", "list", "--data", empty, "--stack", "x"), exitUsage, "mutually exclusive")
	says(t, inProcess(nil, "tenant", "list", "--ledger", "x"), exitUsage, "--ledger requires --tenants")
	says(t, inProcess(nil, "tenant", "add", "contoso", "--name", "x"), exitUsage, "neither a GUID")
}
