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
	Manifests int
	Ledger    bool
	Tenants   []verify.Tenant
}

// checkVerified verifies both buckets with the command line, against the ledger that the stacks
// share and with the keys from KMS. Each bucket has the part of the chain that the other lacks.
func (a *account) checkVerified(b bucketServer, stacks []map[string]string, manifests int) {
	a.t.Helper()
	seen := 0
	for _, outputs := range stacks {
		public, _ := a.publicKey(outputs)
		bucket := outputs["EvidenceBucketName"]
		last := a.verify("--from", "s3://"+bucket, "--s3-endpoint", b.Endpoint,
			"--ledger", outputs["LedgerTableName"], "--pub", a.pemFile(public))
		if !last.OK || !last.Ledger || len(last.Tenants) != 1 {
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

// verify runs the command that `make cloud-test` has built.
func (a *account) verify(args ...string) verified {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, filepath.Join(a.root, "bin", "packhorse"),
		append([]string{"verify", "--all", "--json"}, args...)...)
	command.Env = a.cloud.Environ(os.Environ())
	var log strings.Builder
	command.Stderr = &log
	out, err := command.Output()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	var last verified
	decodeErr := json.Unmarshal([]byte(lines[len(lines)-1]), &last)
	if err != nil || decodeErr != nil || last.Event != "verified" {
		a.t.Errorf("packhorse verify %s: %v, %v\n%s%s", strings.Join(args, " "), err, decodeErr, out, log.String())
	}
	return last
}
