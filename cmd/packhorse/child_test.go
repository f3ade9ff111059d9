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

// Commands that start the embedded S3 server run in a separate process, which is this test binary again: the
// server's library allows one server per process, changes the working directory, and prints. If this
// variable is set, the process is the program.
const childVariable = "PACKHORSE_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		syscall.Umask(0o022) // like a person's shell
		main()
	}
	syscall.Umask(0o077) // t.TempDir then creates data folders that nobody else can access
	os.Exit(m.Run())
}

// childTimeout ends a child that hangs; a healthy one needs a few seconds.
const childTimeout = 50 * time.Second

// raceOptions shorten the second that every process with the race detector waits at its end. The tests start hundreds.
const raceOptions = "GORACE=atexit_sleep_ms=50"

// outcome is the result of a command line.
type outcome struct {
	code           int
	stdout, stderr string
}

// command returns the program as a process with exactly this environment, in its own folder.
func command(ctx context.Context, t *testing.T, environ []string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(slices.Clone(environ), childVariable+"=1", "HOME="+cmd.Dir, "NO_PROXY=*", raceOptions)
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

// action returns an action with a small package that is ready.
func action(i int) mdesim.Action {
	return mdesim.Action{
		ID: mdesim.IDOf("cli", i), MachineID: mdesim.MachineOf("cli", i),
		ComputerDNSName: "fin-ws-17.contoso.com", Requestor: "a.lindqvist@contoso.com",
		Comment: "INC-4711", Source: "Portal", CreatedAt: time.Now().Add(-time.Hour),
		Steps: mdesim.Succeeding(time.Minute), PackageSize: 300 << 10, PackageSeed: uint64(i),
	}
}

// environment returns the variables a user would set to reach the simulator as a real tenant. pairs override
// them; the value "" unsets a variable.
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

// ledgerRecords returns the records in the ledger of a data folder.
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

// checkSecrets searches the output and the data folder, except packages, for links, tokens and the client
// secret.
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
		// A killed process leaves parts of packages, which may contain anything. Keys are random
		// text: one in a thousand contains "eyJ".
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
				t.Errorf("%s contains the secret %q", where, secret)
			}
		}
	}
}

// lines splits a text into lines; an empty text has none.
func lines(text string) []string {
	var all []string
	scanner := bufio.NewScanner(strings.NewReader(text))
	for scanner.Scan() {
		all = append(all, scanner.Text())
	}
	return all
}
