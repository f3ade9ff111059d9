package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/versity/versitygw/backend/meta"

	"packhorse/cmd/packhorse/checkup"
	"packhorse/cmd/packhorse/console"
	"packhorse/cmd/packhorse/datafolder"
	"packhorse/cmd/packhorse/embedded"
	"packhorse/internal/custody"
	"packhorse/internal/doctor"
	"packhorse/internal/investigation"
	"packhorse/internal/mde/mdesim"
	"packhorse/internal/settings"
	"packhorse/internal/tenant"
)

// installation is a data folder, the tenant it belongs to, and the variables for both.
type installation struct {
	t       *testing.T
	server  *mdesim.Server
	data    string
	environ map[string]string
}

// checkLine is a line of doctor --json.
type checkLine struct {
	Event, Version, Name, State, Text, Advice, Next string
	Time                                            time.Time
	OK, Warnings, Failed, Skipped                   int
}

func tenantConfig() mdesim.Config {
	config := mdesim.Defaults()
	config.TenantID, config.Roles = realTenant, []string{"Machine.Read.All"}
	return config
}

func serveTenant(t *testing.T, config mdesim.Config, now func() time.Time) *mdesim.Server {
	t.Helper()
	s, err := mdesim.Start(t.Context(), config, now, "127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// move points the installation to another server of its tenant.
func (i *installation) move(s *mdesim.Server) {
	i.server = s
	i.environ = settings.Map(environment(s, "DEFENDER_TENANT_ID", realTenant))
}

// install archives a package and returns the installation.
func install(t *testing.T) *installation {
	t.Helper()
	i := &installation{t: t, data: filepath.Join(t.TempDir(), "data")}
	s := serveTenant(t, tenantConfig(), time.Now)
	s.Add(action(1))
	i.move(s)
	if got := packhorse(t, i.variables(), "run", "--until-idle", "--data", i.data); got.code != exitDone {
		t.Fatalf("exit %d: %s", got.code, got.stderr)
	}
	return i
}

func (i *installation) variables() []string {
	var environ []string
	for name, value := range i.environ {
		environ = append(environ, name+"="+value)
	}
	return environ
}

// copy returns a copy of the installation, with extended attributes, and a server of its own.
func (i *installation) copy(t *testing.T) *installation {
	t.Helper()
	c := &installation{t: t, data: filepath.Join(t.TempDir(), "data"), environ: maps.Clone(i.environ)}
	c.shell("cp -a " + i.data + " " + c.data)
	c.move(serveTenant(t, tenantConfig(), time.Now))
	return c
}

// shell pastes a command as a person would, and takes over the variables that it exports.
func (i *installation) shell(command string) {
	i.t.Helper()
	tools := i.t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\n%s=1 exec %q \"$@\"\n", childVariable, os.Args[0])
	if err := os.WriteFile(filepath.Join(tools, "packhorse"), []byte(script), 0o700); err != nil {
		i.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(i.t.Context(), childTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-ec", command+"\nenv -0 > "+filepath.Join(tools, "env"))
	cmd.Env = append(i.variables(), "PATH="+tools+string(os.PathListSeparator)+os.Getenv("PATH"), "NO_PROXY=*")
	if out, err := cmd.CombinedOutput(); err != nil {
		i.t.Fatalf("%s: %v\n%s", command, err, out)
	}
	text, err := os.ReadFile(filepath.Join(tools, "env"))
	if err != nil {
		i.t.Fatal(err)
	}
	for name, value := range settings.Map(strings.Split(strings.TrimRight(string(text), "\x00"), "\x00")) {
		if strings.HasPrefix(name, "DEFENDER_") || strings.HasPrefix(name, "OBJECT_") {
			i.environ[name] = value
		}
	}
}

// look runs doctor --json.
func (i *installation) look(args ...string) (checks []checkLine, summary checkLine, got outcome) {
	i.t.Helper()
	got = packhorse(i.t, i.variables(), append([]string{"doctor", "--json", "--data", i.data}, args...)...)
	for _, text := range lines(got.stdout) {
		var l checkLine
		if err := json.Unmarshal([]byte(text), &l); err != nil || l.Version != console.LinesVersion || l.Time.IsZero() {
			i.t.Fatalf("bad line %q: %v", text, err)
		}
		checks = append(checks, l)
	}
	if len(checks) == 0 || checks[len(checks)-1].Event != "doctor" {
		i.t.Fatalf("exit %d, no summary: %s%s", got.code, got.stdout, got.stderr)
	}
	if strings.Contains(got.stdout+got.stderr, mdesim.Defaults().ClientSecret) || strings.Contains(got.stdout, "eyJ") {
		i.t.Errorf("a secret is shown: %s", got.stdout)
	}
	return checks[:len(checks)-1], checks[len(checks)-1], got
}

// expectWell checks that everything is ok.
func (i *installation) expectWell() {
	i.t.Helper()
	checks, summary, got := i.look()
	for _, c := range checks {
		if c.State != "ok" {
			i.t.Errorf("%s is %s: %s", c.Name, c.State, c.Text)
		}
	}
	if got.code != exitDone || summary.OK != len(checks) || summary.Next != "" {
		i.t.Errorf("exit %d, %+v", got.code, summary)
	}
}

// after returns the names of the checks that need the given one, however far.
func after(name string) map[string]bool {
	all := append(doctor.Tenant(doctor.TenantPorts{}), doctor.Machine(doctor.MachinePorts{})...)
	needs := map[string]bool{name: true}
	for range all {
		for _, c := range all {
			needs[c.Name] = needs[c.Name] || slices.ContainsFunc(c.After, func(n string) bool { return needs[n] })
		}
	}
	return needs
}

// fault is one way in which an installation may be broken.
type fault struct {
	name   string
	breaks func(*installation)
	check  string // that finds it
	state  string
	says   string
	advice string // part of it; the command at its end is pasted unless mends is set
	mends  func(*installation)
}

// TestDoctor breaks a good installation in one way after another. Exactly the right check names each, and its advice
// mends it. Checks that need a broken thing are skipped; no other check says anything.
func TestDoctor(t *testing.T) {
	t.Parallel()
	good := install(t)
	good.expectWell()
	for _, f := range slices.Concat(settingFaults(), tenantFaults(), folderFaults(), keyFaults(), workFaults()) {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			i := good.copy(t)
			f.breaks(i)
			found := i.expect(f)
			if f.mends != nil {
				f.mends(i)
			} else {
				_, command := doctor.Command(found.Advice)
				if command == "" {
					t.Fatalf("no command: %s", found.Advice)
				}
				i.shell(command)
			}
			i.expectWell()
		})
	}
}

func (i *installation) expect(f fault) (found checkLine) {
	i.t.Helper()
	checks, summary, got := i.look()
	needs := after(f.check)
	for _, c := range checks {
		switch {
		case c.Name == f.check:
			found = c
		case c.State == "ok", c.State == "skipped" && f.state == "failed" && needs[c.Name]:
		case c.Name == "links.permission" && c.State == "skipped": // it proves it from the ledger, which does not open
		default:
			i.t.Errorf("%s is %s: %s", c.Name, c.State, c.Text)
		}
	}
	if found.State != f.state || !strings.Contains(found.Text, f.says) || !strings.Contains(found.Advice, f.advice) {
		i.t.Fatalf("%s is %s: %s\n%s", f.check, found.State, found.Text, found.Advice)
	}
	if failed := f.state == "failed"; failed != (got.code == exitFailed) || summary.Next != f.check {
		i.t.Errorf("exit %d, %+v", got.code, summary)
	}
	return found
}

// set returns a function that sets a variable; mending puts the old value back.
func set(name, value string) (breaks, mends func(*installation)) {
	old := ""
	return func(i *installation) { old, i.environ[name] = i.environ[name], value },
		func(i *installation) { i.environ[name] = old }
}

func settingFaults() []fault {
	variable := func(f fault, name, value string) fault {
		f.breaks, f.mends = set(name, value)
		f.state = "failed"
		return f
	}
	return []fault{
		variable(fault{name: "bad secret", check: "token", says: "AADSTS7000215", advice: "the secret's value"},
			"DEFENDER_CLIENT_SECRET", "not~The.Secret-0123456789abcdefghijklmn"),
		variable(fault{name: "wrong tenant", check: "token", says: "AADSTS90002", advice: "DEFENDER_TENANT_ID"},
			"DEFENDER_TENANT_ID", "11111111-2222-4333-8444-555555555555"),
		variable(fault{name: "wrong app", check: "token", says: "AADSTS700016", advice: "DEFENDER_CLIENT_ID"},
			"DEFENDER_CLIENT_ID", "11111111-2222-4333-8444-555555555555"),
		variable(fault{name: "unknown root", check: "network.trust", says: "nobody trusted issued", advice: "DEFENDER_CA_PEM"},
			"DEFENDER_CA_PEM", ""),
		variable(fault{name: "API name wrong", check: "network.api", says: "cannot be resolved", advice: "DEFENDER_API_URL"},
			"DEFENDER_API_URL", "https://api.invalid"),
		variable(fault{name: "API port closed", check: "network.api", says: "cannot be reached", advice: "firewall"},
			"DEFENDER_API_URL", "https://127.0.0.1:1"),
		variable(fault{name: "authority wrong", check: "network.authority", says: "cannot be resolved", advice: "DEFENDER_AUTHORITY_URL"},
			"DEFENDER_AUTHORITY_URL", "https://login.invalid"),
		variable(fault{name: "link host wrong", check: "network.links", says: "links.invalid", advice: "DEFENDER_LINK_HOSTS"},
			"DEFENDER_LINK_HOSTS", "links.invalid"),
		variable(fault{name: "bad setting", check: "settings", says: "LOOKBACK", advice: "set it right"}, "LOOKBACK", "1h"),
	}
}

func tenantFaults() []fault {
	faulty := func(f mdesim.Faults) func(*installation) {
		return func(i *installation) { i.server.SetFaults(f) }
	}
	config := func(change func(*mdesim.Config)) func(*installation) {
		return func(i *installation) {
			c := tenantConfig()
			change(&c)
			i.move(serveTenant(i.t, c, time.Now))
		}
	}
	sound := faulty(mdesim.Faults{})
	again := config(func(*mdesim.Config) {})
	return []fault{
		{
			name: "secret expired", breaks: faulty(mdesim.Faults{SecretExpired: true}), mends: sound,
			check: "token", state: "failed", says: "AADSTS7000222", advice: "create a new one",
		},
		{
			name: "role revoked", breaks: faulty(mdesim.Faults{TokenWithoutRoles: true}), mends: sound,
			check: "roles", state: "failed", says: "no application permission", advice: "Machine.Read.All",
		},
		{
			name:   "other role",
			breaks: config(func(c *mdesim.Config) { c.Roles = []string{"Alert.Read.All"} }), mends: again,
			check: "roles", state: "failed", says: "only Alert.Read.All", advice: "Machine.Read.All",
		},
		{
			name:   "too many roles",
			breaks: config(func(c *mdesim.Config) { c.Roles = append(c.Roles, "Machine.Isolate", "Ti.ReadWrite") }), mends: again,
			check: "roles", state: "warning", says: "more than needed: Machine.Isolate, Ti.ReadWrite", advice: "remove",
		},
		{
			name:   "list refused",
			breaks: faulty(mdesim.Faults{Status: map[mdesim.Kind]int{mdesim.KindList: http.StatusForbidden}}), mends: sound,
			check: "list", state: "failed", says: "403", advice: "grant the application permission",
		},
		{
			name:   "Defender down",
			breaks: faulty(mdesim.Faults{Status: map[mdesim.Kind]int{mdesim.KindList: http.StatusBadGateway}}), mends: sound,
			check: "list", state: "failed", says: "502", advice: "wait",
		},
		{
			name: "clock off",
			breaks: func(i *installation) {
				i.move(serveTenant(i.t, tenantConfig(), func() time.Time { return time.Now().Add(-5 * time.Minute) }))
			}, mends: again,
			check: "clock", state: "failed", says: "s fast", advice: "NTP",
		},
	}
}

// paste runs a command line in which DATA is the data folder.
func paste(command string) func(*installation) {
	return func(i *installation) { i.shell(strings.ReplaceAll(command, "DATA", i.data)) }
}

func folderFaults() []fault {
	return []fault{
		{
			name: "folder open", breaks: paste("chmod 777 DATA"),
			check: "data.folder", state: "failed", says: "0777", advice: "chmod 700",
		},
		{
			name: "ledger open", breaks: paste("chmod 644 DATA/packhorse.db"),
			check: "data.files", state: "warning", says: "packhorse.db (mode 0644)", advice: "chmod go-rwx",
		},
		{
			name: "folder is a file", breaks: paste("mv DATA DATA.away; echo > DATA"), mends: paste("rm DATA; mv DATA.away DATA"),
			check: "data.folder", state: "failed", says: "is a file", advice: "--data",
		},
		{
			name: "a simulation's folder", breaks: paste(`echo '{"simulated":true}' > DATA/origin.json`),
			mends: paste(`echo '{"simulated":false}' > DATA/origin.json`),
			check: "data.origin", state: "failed", says: "packages of a simulation", advice: "--data",
		},
		{
			name: "attributes lost", breaks: paste("mv DATA DATA.original; cp -r DATA.original DATA; chmod 700 DATA; chmod 600 DATA/*.db DATA/*.json DATA/*key.pem; chmod 700 DATA/s3"),
			mends: paste("rm -r DATA; cp -a DATA.original DATA"),
			check: "data.attributes", state: "failed", says: "lost", advice: "cp -a ORIGINAL",
		},
		{
			name: "later ledger", breaks: func(i *installation) { i.query("PRAGMA user_version = 99") },
			mends: func(i *installation) { i.query("PRAGMA user_version = 5") },
			check: "data.database", state: "failed", says: "version 99", advice: "newer packhorse",
		},
		{
			name: "ledger overwritten", breaks: paste("mv DATA/packhorse.db DATA/away; echo nonsense > DATA/packhorse.db; chmod 600 DATA/packhorse.db"),
			mends: paste("mv DATA/away DATA/packhorse.db"),
			check: "data.database", state: "failed", says: "not a database", advice: "backup",
		},
		{
			name: "ledger gone", breaks: paste("mv DATA/packhorse.db DATA.db"), mends: paste("mv DATA.db DATA/packhorse.db"),
			check: "data.database", state: "failed", says: "it is gone", advice: "from a backup",
		},
		{
			name: "ledger of another program", breaks: func(i *installation) { i.query("ALTER TABLE chains RENAME TO links") },
			mends: func(i *installation) { i.query("ALTER TABLE links RENAME TO chains") },
			check: "data.database", state: "failed", says: "another program's", advice: "from a backup",
		},
	}
}

func keyFaults() []fault {
	return []fault{
		{
			name: "key open", breaks: paste("chmod 644 DATA/signing-key.pem"),
			check: "signing.key", state: "failed", says: "could sign", advice: "chmod 600",
		},
		{
			name:   "key damaged",
			breaks: paste("cp -p DATA/signing-key.pem DATA.key; echo nonsense > DATA/signing-key.pem"),
			mends:  paste("cp -p DATA.key DATA/signing-key.pem"),
			check:  "signing.key", state: "failed", says: "not a private key", advice: "backup",
		},
		{
			name: "key of another archive", breaks: func(i *installation) {
				i.shell("mkdir " + i.data + ".key; mv " + i.data + "/signing-key* " + i.data + ".key")
				i.newKey()
			},
			mends: paste("mv DATA.key/* DATA"),
			check: "signing.published", state: "failed", says: "key of another archive", advice: "from a backup",
		},
		{
			name: "no lock wanted", breaks: func(i *installation) { i.environ["OBJECT_LOCK_MODE"] = "NONE" },
			check: "archive.lock", state: "warning", says: "can be deleted", advice: "export OBJECT_LOCK_MODE=GOVERNANCE",
		},
		{
			name: "lock missing", breaks: func(i *installation) {
				if err := (meta.XattrMeta{}).DeleteAttribute(filepath.Join(i.data, datafolder.S3, datafolder.Bucket), "", "bucket-lock"); err != nil {
					i.t.Fatal(err)
				}
			},
			check: "archive.lock", state: "failed", says: "no Object Lock", advice: "packhorse run",
		},
	}
}

func workFaults() []fault {
	health := func(h func(now time.Time) tenant.Health) func(*installation) {
		return func(i *installation) {
			i.ledger(func(l *embedded.Ledger) error { return l.SetHealth(i.t.Context(), realTenant, h(time.Now())) })
		}
	}
	swept := health(func(now time.Time) tenant.Health { return tenant.Health{}.Succeeded(now) })
	run := func(i *installation) {
		if got := packhorse(i.t, i.variables(), "run", "--until-idle", "--data", i.data); got.code != exitDone {
			i.t.Fatal(got.stderr)
		}
	}
	return []fault{
		{
			name:   "not running",
			breaks: health(func(now time.Time) tenant.Health { return tenant.Health{}.Succeeded(now.Add(-time.Hour)) }), mends: run,
			check: "sweeps", state: "warning", says: "1 h ago", advice: "packhorse run",
		},
		{
			name: "sweeps fail", breaks: health(func(now time.Time) tenant.Health {
				return tenant.Health{}.Succeeded(now.Add(-time.Hour)).Failed(now.Add(-2*time.Minute), "the disk is full")
			}), mends: run,
			check: "sweeps", state: "failed", says: "the disk is full", advice: "packhorse run",
		},
		{
			name: "link host not allowed", breaks: func(i *installation) {
				i.pending(`get a link: the link leads to "new.example.com:8443", which is not among the allowed link hosts (DEFENDER_LINK_HOSTS)`)
			},
			mends: func(i *installation) {
				checks, _, _ := i.look()
				at := slices.IndexFunc(checks, func(c checkLine) bool { return c.Name == "links.hosts" })
				_, command := doctor.Command(checks[at].Advice)
				i.shell(command)
				if want := i.server.DownloadHost + ",new.example.com:8443"; i.environ["DEFENDER_LINK_HOSTS"] != want {
					i.t.Errorf("got %s, want %s", i.environ["DEFENDER_LINK_HOSTS"], want)
				}
				i.environ["DEFENDER_LINK_HOSTS"] = ".example.com:8443," + i.server.DownloadHost // it does not exist here
			},
			check: "links.hosts", state: "failed", says: "new.example.com:8443", advice: "export DEFENDER_LINK_HOSTS=",
		},
		{
			name: "link forbidden", breaks: func(i *installation) {
				i.postponed(investigation.CauseForbidden, "the answer was 403 Forbidden (MissingRole)")
			},
			mends: func(i *installation) { i.query("DELETE FROM actions WHERE record LIKE '%MissingRole%'") },
			check: "links.permission", state: "failed", says: "403 Forbidden (MissingRole)", advice: "Machine.ReadWrite.All",
		},
		{
			name: "package stuck", breaks: func(i *installation) { i.pending("the archive refuses it") }, mends: func(i *installation) {
				i.query("DELETE FROM actions WHERE record LIKE '%refuses it%'")
				swept(i)
			},
			check: "packages", state: "warning", says: "the archive refuses it", advice: "packhorse show",
		},
	}
}

// query changes the ledger's file.
func (i *installation) query(statement string) {
	i.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(i.data, datafolder.Database))
	if err != nil {
		i.t.Fatal(err)
	}
	_, err = db.ExecContext(i.t.Context(), statement)
	if err := db.Close(); err != nil {
		i.t.Fatal(err)
	}
	if err != nil {
		i.t.Fatal(err)
	}
}

func (i *installation) ledger(do func(*embedded.Ledger) error) {
	i.t.Helper()
	db, err := embedded.OpenDB(i.t.Context(), filepath.Join(i.data, datafolder.Database))
	if err != nil {
		i.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := do(embedded.NewLedger(db)); err != nil {
		i.t.Fatal(err)
	}
}

// pending adds a package that has been ready for hours and was postponed with the message.
func (i *installation) pending(message string) { i.postponed("", message) }

// postponed is pending with a cause.
func (i *installation) postponed(cause investigation.Cause, message string) {
	i.t.Helper()
	at := time.Now().Add(-3 * time.Hour)
	a := investigation.Action{
		ID:        investigation.ID{TenantID: realTenant, ActionID: strings.Repeat("ab", 20)},
		MachineID: strings.Repeat("cd", 20), Status: "Succeeded", CreatedAt: at, LastUpdatedAt: at,
	}
	i.ledger(func(l *embedded.Ledger) error {
		_, err := l.Change(i.t.Context(), a.ID, investigation.Observe(a, at))
		if err != nil {
			return err
		}
		_, err = l.Change(i.t.Context(), a.ID, investigation.Change{
			Name: investigation.ChangeGiveBack, Apply: func(rec investigation.Record) (investigation.Record, error) {
				rec.Message, rec.Cause = message, cause
				rec.DueAt = time.Now().Add(time.Minute).UTC().Truncate(time.Millisecond)
				return rec, nil
			},
		})
		return err
	})
}

// newKey makes another signing key.
func (i *installation) newKey() {
	i.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		i.t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		i.t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err := os.WriteFile(filepath.Join(i.data, custody.LocalKeyFile), text, 0o600); err != nil {
		i.t.Fatal(err)
	}
}

// contents hashes every file of the data folder but the ledger, where the list call is counted.
func (i *installation) contents() map[string]string {
	i.t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(i.data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || strings.HasPrefix(d.Name(), datafolder.Database) {
			return err
		}
		info, err := d.Info()
		if err != nil || d.IsDir() {
			all[path] = fmt.Sprint(info.Mode())
			return err
		}
		text, err := os.ReadFile(path)
		all[path] = fmt.Sprintf("%v %x", info.Mode(), sha256.Sum256(text))
		return err
	})
	if err != nil {
		i.t.Fatal(err)
	}
	return all
}

// TestDoctorOnlyLooks: it changes no file and no record, makes one list call, and asks for no link.
func TestDoctorOnlyLooks(t *testing.T) {
	t.Parallel()
	i := install(t).copy(t)
	i.pending("the link leads to nowhere")
	i.server.Add(action(2)) // ready
	before, records := i.contents(), ledgerOf(i)
	if _, _, got := i.look(); got.code != exitDone {
		t.Errorf("exit %d: %s%s", got.code, got.stdout, got.stderr)
	}
	if after := i.contents(); !maps.Equal(before, after) {
		t.Errorf("before %v\nafter %v", before, after)
	}
	if after := ledgerOf(i); !slices.Equal(records, after) {
		t.Errorf("before %v\nafter %v", records, after)
	}
	calls := i.server.Judge().Verdict().Calls
	if calls[mdesim.KindList] != 1 || calls[mdesim.KindToken] != 1 || calls[mdesim.KindPackageURI] != 0 || len(calls) != 2 {
		t.Errorf("it made the calls %v", calls)
	}
}

func ledgerOf(i *installation) (records []investigation.Record) {
	i.t.Helper()
	i.ledger(func(l *embedded.Ledger) (err error) {
		records, err = l.Records(i.t.Context(), realTenant)
		return err
	})
	return records
}

// TestDoctorTable shows the same as a table, and an unknown tenant is an error.
func TestDoctorTable(t *testing.T) {
	t.Parallel()
	i := install(t)
	all := len(doctor.Tenant(doctor.TenantPorts{})) + len(doctor.Machine(doctor.MachinePorts{}))
	well := fmt.Sprintf("\n%d ok\n", all)
	got := packhorse(t, i.variables(), "doctor", "--data", i.data, "--tenant", strings.ToUpper(realTenant))
	if got.code != exitDone || strings.Contains(got.stdout, "\x1b") || !strings.HasSuffix(got.stdout, well) || got.stderr != "" {
		t.Errorf("exit %d: %s%s", got.code, got.stdout, got.stderr)
	}
	got = packhorse(t, i.variables(), "doctor", "--data", i.data, "--tenant", "11111111-2222-4333-8444-555555555555")
	if got.code != exitUsage || got.stdout != "" || !strings.Contains(got.stderr, realTenant) {
		t.Errorf("exit %d: %s%s", got.code, got.stdout, got.stderr)
	}
}

// TestDoctorDisk: the free space is a port, because no test fills a disk.
func TestDoctorDisk(t *testing.T) {
	t.Parallel()
	i := install(t)
	m := &checkup.Machine{
		Environ: i.variables(), Now: time.Now, Want: doctor.MachineWanted{Data: i.data},
	}
	t.Cleanup(func() { _ = m.Close() })
	for free, want := range map[int64]doctor.State{10 << 20: doctor.Failed, 100 << 20: doctor.Warning, 10 << 30: doctor.OK} {
		m.Free = func(string) (int64, error) { return free, nil }
		checks := slices.DeleteFunc(doctor.Machine(m.Ports()), func(c doctor.Check) bool { return c.Area != "Data folder" })
		for _, r := range doctor.Run(t.Context(), checks, func(doctor.Result) {}) {
			if isDisk := r.Name == "data.disk"; isDisk && r.State != want || !isDisk && r.State != doctor.OK {
				t.Errorf("%d free: %s is %s: %s", free, r.Name, r.State, r.Text)
			}
		}
	}
}

// TestDoctorWithoutSettings says what to set first, and creates nothing.
func TestDoctorWithoutSettings(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	got := packhorse(t, nil, "doctor", "--data", data)
	if got.code != exitFailed || strings.Count(got.stdout, "failed ") != 1 ||
		!strings.Contains(got.stdout, "export DEFENDER_TENANT_ID=… DEFENDER_CLIENT_ID=… DEFENDER_CLIENT_SECRET=…\n") {
		t.Errorf("exit %d:\n%s%s", got.code, got.stdout, got.stderr)
	}
	if _, err := os.Stat(data); !os.IsNotExist(err) {
		t.Errorf("it made the data folder: %v", err)
	}
	for _, args := range [][]string{{"--stack", "x", "--data", "y"}, {"--s3-endpoint", "https://x"}, {"--tenant", "x"}, {"word"}} {
		if got := inProcess(nil, append([]string{"doctor"}, args...)...); got.code != exitUsage {
			t.Errorf("%q: exit %d, %s", args, got.code, got.stderr)
		}
	}
}
