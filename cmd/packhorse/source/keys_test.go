package source_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"packhorse/cmd/packhorse/source"
	"packhorse/internal/verify"
	"packhorse/internal/verify/verifytest"
)

// TestTrust reads files with keys, and files without.
func TestTrust(t *testing.T) {
	t.Parallel()
	w := verifytest.New(t)
	dir := t.TempDir()
	own, _, err := source.TrustData(w.Keys)
	if err != nil {
		t.Fatal(err)
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	both, err := own.PEM("")
	if err != nil {
		t.Fatal(err)
	}
	both = append(both, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})...)
	write := func(name string, text []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	trust, err := source.TrustFiles([]string{write("both.pem", both)})
	if err != nil || len(trust.IDs()) != 2 {
		t.Errorf("two keys in a file: %v, %v", trust.IDs(), err)
	}
	sum := verifytest.RunOn(t, w.Store, trust, w.Book, verify.Scope{})
	if len(sum.Findings) > 0 {
		t.Errorf("found %q", sum.Findings)
	}
	for name, text := range map[string]string{"none.pem": "hello", "large.pem": strings.Repeat("x", 1<<20)} {
		_, err = source.TrustFiles([]string{write(name, []byte(text))})
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	empty, present, err := source.TrustData(t.TempDir())
	if err != nil || !empty.Empty() || present != "" {
		t.Errorf("no keys: %v, %q, %v", empty.IDs(), present, err)
	}
	sum = verifytest.RunOn(t, w.Store, verify.Trust{}, nil, verify.Scope{})
	if len(sum.Findings) != 8 || !strings.Contains(sum.Findings[0].Error(), "no key at all") {
		t.Errorf("without keys: %q", sum.Findings)
	}
}
