//go:build cloud

package cloudtest

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"packhorse/internal/verify"
)

// verified is the last line of `packhorse verify --json`.
type verified struct {
	Event     string
	OK        bool
	Verdict   verify.Overall
	Manifests int
	Ledger    bool
	Tenants   []verify.Tenant
}

// checkVerified has the command line verify both buckets against the ledger that the stacks share,
// with the keys that KMS gives. What one bucket lacks of the chain is in the other. A stack that was
// slower every time has archived nothing: its bucket is EMPTY, and the whole chain is elsewhere.
func (a *account) checkVerified(b bucketServer, stacks []map[string]string, manifests int) {
	a.t.Helper()
	seen := 0
	for _, outputs := range stacks {
		public, _ := a.publicKey(outputs)
		bucket := outputs["EvidenceBucketName"]
		last := a.verify("--all", "--from", "s3://"+bucket, "--s3-endpoint", b.Endpoint,
			"--ledger", outputs["LedgerTableName"], "--pub", a.pemFile(public))
		empty := last.Manifests == 0 && last.Verdict == verify.Empty
		if last.OK == empty || !last.Ledger || len(last.Tenants) != 1 {
			a.t.Errorf("%s: %+v", bucket, last)
			continue
		}
		want := verify.Reach{
			Length: int64(manifests), Whole: true, Ended: true, Elsewhere: manifests - last.Manifests,
		}
		if got := last.Tenants[0].Chain; got != want {
			a.t.Errorf("%s: the chain is %+v, want %+v", bucket, got, want)
		}
		seen += last.Manifests
	}
	if seen != manifests {
		a.t.Errorf("%d manifests were verified, want %d", seen, manifests)
	}
}

func (a *account) pemFile(public *ecdsa.PublicKey) string {
	a.t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		a.t.Fatal(err)
	}
	path := filepath.Join(a.t.TempDir(), "pub.pem")
	err = os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600)
	if err != nil {
		a.t.Fatal(err)
	}
	return path
}

// command is the program that `make cloud-test` has built.
func (a *account) command(ctx context.Context, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, filepath.Join(a.root, "bin", "packhorse"), args...)
	command.Env = append(a.cloud.Environ(os.Environ()), a.variables...)
	return command
}

// packhorse runs it to its end, and returns all that it shows.
func (a *account) packhorse(args ...string) (string, error) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), time.Minute)
	defer cancel()
	out, err := a.command(ctx, args...).CombinedOutput()
	return string(out), err
}

// verify runs packhorse verify, and returns its last line.
func (a *account) verify(args ...string) verified {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), time.Minute)
	defer cancel()
	command := a.command(ctx, append([]string{"verify", "--json"}, args...)...)
	var log strings.Builder
	command.Stderr = &log
	out, err := command.Output()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	var last verified
	decodeErr := json.Unmarshal([]byte(lines[len(lines)-1]), &last)
	if last.Verdict == verify.Empty && command.ProcessState.ExitCode() == 1 {
		err = nil // the exit code of EMPTY, which the caller judges
	}
	if err != nil || decodeErr != nil || last.Event != "verified" {
		a.t.Errorf("packhorse verify %s: %v, %v\n%s%s", strings.Join(args, " "), err, decodeErr, out, log.String())
	}
	return last
}
