package custody_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"packhorse/internal/custody"
	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
)

var sealedAt = time.Date(2026, 3, 4, 5, 22, 7, 0, time.UTC)

func provenance(context.Context) (manifest.Provenance, error) {
	return manifest.Provenance{Version: "1.2.3", Commit: "98d0f6d", Principal: "root@station"}, nil
}

// writer returns a Writer with the same key each time, and a stopped clock.
func writer(t *testing.T) *custody.Writer {
	t.Helper()
	lock := investigation.Lock{Mode: "GOVERNANCE", For: 365 * 24 * time.Hour}
	return custody.NewWriter(testKey(t), "contoso-evidence", lock, provenance,
		func() time.Time { return sealedAt })
}

// testKey is the key that the manifests in the testdata of package manifest name.
func testKey(t *testing.T) *custody.Local {
	t.Helper()
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err := os.WriteFile(filepath.Join(dir, "signing-key.pem"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	key, err := custody.OpenLocal(dir)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// testManifest is a manifest that names that key.
func testManifest(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile("../manifest/testdata/archived.json")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// A Writer's facts are in the manifests of its sealer.
func TestSealer(t *testing.T) {
	t.Parallel()
	w := writer(t)
	sealer, err := w.Sealer(t.Context(), investigation.Collection{}, investigation.Content{})
	if err != nil {
		t.Fatal(err)
	}
	failed, err := investigation.Observe(investigation.Action{
		ID: investigation.ID{
			TenantID: "7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11",
			ActionID: "5382f7ea-7557-4ab7-9782-d50480024a4e",
		},
		MachineID: "0123456789abcdef0123456789abcdef01234567", CreatedAt: sealedAt,
		Status: investigation.StatusFailed,
	}, sealedAt).Apply(investigation.Record{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := sealer.Outcome(failed, investigation.Head{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := manifest.Parse(text)
	want := manifest.Custody{
		Bucket: "contoso-evidence", Principal: "root@station", SealedAt: sealedAt,
		Retention: &manifest.Retention{Mode: "GOVERNANCE", Until: sealedAt.AddDate(1, 0, 0)},
	}
	if err != nil || sealer.Bucket() != want.Bucket || !reflect.DeepEqual(got.Custody, want) ||
		got.Signature.KeyID != testKeyID(t) || got.Signature.Key != custody.LocalKeyFile ||
		got.Software.Version != "1.2.3" || got.Software.Commit != "98d0f6d" {
		t.Errorf("got %s, %v", text, err)
	}
	signature, err := w.Sign(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Verify(t.Context(), text, signature); err != nil {
		t.Error(err)
	}
}

var errNobody = errors.New("nobody is signed in")

// Without a provenance, no manifest is made.
func TestSealerWithoutProvenance(t *testing.T) {
	t.Parallel()
	w := custody.NewWriter(testKey(t), "contoso-evidence", investigation.Lock{},
		func(context.Context) (manifest.Provenance, error) { return manifest.Provenance{}, errNobody }, time.Now)
	if sealer, err := w.Sealer(t.Context(), investigation.Collection{}, investigation.Content{}); !errors.Is(err, errNobody) {
		t.Errorf("got %v, %v", sealer, err)
	}
}
