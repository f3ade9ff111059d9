package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"packhorse/cmd/packhorse/datafolder"
	"packhorse/cmd/packhorse/embedded"
	"packhorse/internal/investigation"
	"packhorse/internal/mde/mdesim"
)

// What starts the embedded S3 server runs in a process of its own, which is this test binary again:
// the server's library allows one at a time, changes the working directory, and prints. A process
// that has this variable is the program.
const childVariable = "PACKHORSE_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		syscall.Umask(0o022) // a person's
		main()
	}
	syscall.Umask(0o077) // t.TempDir makes data folders then that nobody else can reach
	os.Exit(m.Run())
}

// childTimeout ends a child that hangs; none needs more than a few seconds.
const childTimeout = 50 * time.Second

// outcome is what a command line came to.
type outcome struct {
	code           int
	stdout, stderr string
}

// command returns the program as a process with exactly this environment, in a folder of its own.
func command(ctx context.Context, t *testing.T, environ []string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(slices.Clone(environ), childVariable+"=1", "HOME="+cmd.Dir, "NO_PROXY=*")
	return cmd
}

// packhorse runs the program to its end.
func packhorse(t *testing.T, environ []string, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), childTimeout)
	defer cancel()
	cmd := command(ctx, t, environ, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	}
	if ctx.Err() != nil {
		t.Fatalf("packhorse %q did not end: %s", args, stderr.String())
	}
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// simulator serves a tenant with the actions.
func simulator(t *testing.T, actions ...mdesim.Action) *mdesim.Server {
	t.Helper()
	s, err := mdesim.Start(t.Context(), mdesim.Defaults(), time.Now, "127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	for _, a := range append(actions, mdesim.OtherActions(7, time.Now())...) {
		s.Add(a)
	}
	return s
}

// action is a small package that is ready.
func action(i int) mdesim.Action {
	return mdesim.Action{
		ID: mdesim.IDOf("cli", i), MachineID: mdesim.MachineOf("cli", i),
		ComputerDNSName: "fin-ws-17.contoso.com", Requestor: "a.lindqvist@contoso.com",
		Comment: "INC-4711", Source: "Portal", CreatedAt: time.Now().Add(-time.Hour),
		Steps: mdesim.Succeeding(time.Minute), PackageSize: 300 << 10, PackageSeed: uint64(i),
	}
}

// environment is what a real tenant's user would set to reach the simulator. Pairs come on top; a
// value of "" unsets.
func environment(s *mdesim.Server, pairs ...string) []string {
	config := mdesim.Defaults()
	all := map[string]string{
		"DEFENDER_TENANT_ID": config.TenantID, "DEFENDER_CLIENT_ID": config.ClientID,
		"DEFENDER_CLIENT_SECRET": config.ClientSecret, "DEFENDER_API_URL": s.APIURL,
		"DEFENDER_AUTHORITY_URL": s.APIURL, "DEFENDER_LINK_HOSTS": s.DownloadHost,
		"DEFENDER_CA_PEM": string(s.CAPEM), "SWEEP_INTERVAL": "5s",
	}
	for i := 0; i < len(pairs); i += 2 {
		all[pairs[i]] = pairs[i+1]
	}
	var environ []string
	for name, value := range all {
		environ = append(environ, name+"="+value)
	}
	return environ
}

// ledgerRecords is what the ledger of a data folder has.
func ledgerRecords(t *testing.T, data string) []investigation.Record {
	t.Helper()
	db, err := embedded.OpenDB(t.Context(), filepath.Join(data, datafolder.Database))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	all, err := embedded.NewLedger(db).Records(t.Context(), mdesim.Defaults().TenantID)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// checkSecrets searches what was printed, and the data folder but for the packages, for links,
// tokens and the client secret.
func checkSecrets(t *testing.T, s *mdesim.Server, data string, outcomes ...outcome) {
	t.Helper()
	// "eyJ" begins every token. A quarter of the client secret would be too much.
	secrets := []string{mdesim.Defaults().ClientSecret, "eyJ", "Bearer ", "simulated~"}
	if s != nil {
		secrets = append(secrets, s.Links()...)
		secrets = append(secrets, s.DownloadHost+"/")
	}
	texts := map[string]string{}
	for _, o := range outcomes {
		texts["standard output"] += o.stdout
		texts["standard error"] += o.stderr
	}
	err := filepath.WalkDir(data, func(path string, entry fs.DirEntry, err error) error {
		// A killed process leaves the parts it sent: bytes of packages, where anything may be.
		// Keys are random text: "eyJ" is found in one of a thousand.
		random := strings.Contains(path, "/.sgwtmp/") || strings.HasSuffix(path, ".pem")
		if err != nil || !entry.Type().IsRegular() || strings.HasSuffix(path, ".zip") || random {
			return err
		}
		text, err := os.ReadFile(path)
		texts[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for where, text := range texts {
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s has the secret %q", where, secret)
			}
		}
	}
}

// lines are the lines of a text; none of nothing.
func lines(text string) []string {
	var all []string
	scanner := bufio.NewScanner(strings.NewReader(text))
	for scanner.Scan() {
		all = append(all, scanner.Text())
	}
	return all
}
