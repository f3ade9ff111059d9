package desk_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"packhorse/cmd/packhorse/desk"
	"packhorse/internal/status"
	"packhorse/internal/tenant"
)

// certificates returns two certificates of one key as PEM, the shorter one first, when the longer one expires, and the
// key.
func certificates(t *testing.T) (text string, expires time.Time, private string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for hours := range 2 {
		expires = time.Now().Add(time.Duration(1+hours) * time.Hour).UTC().Truncate(time.Second)
		form := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: expires}
		der, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		text += string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return text, expires, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// TestCredential: what the settings or the stack's parameters say without asking Entra ID or AWS.
func TestCredential(t *testing.T) {
	t.Parallel()
	text, expires, private := certificates(t)
	file := filepath.Join(t.TempDir(), "app.pem")
	if err := os.WriteFile(file, []byte(private+text), 0o600); err != nil {
		t.Fatal(err)
	}
	day := time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC)
	const secret = "Fake~Secret.Value-0123456789"
	for name, c := range map[string]struct {
		machine, parameters map[string]string
		want                status.Credential
	}{
		"nothing":     {machine: map[string]string{}},
		"bare secret": {machine: map[string]string{"DEFENDER_CLIENT_SECRET": secret}},
		"secret with a date": {
			machine: map[string]string{"DEFENDER_CLIENT_SECRET": `{"client_secret":"` + secret + `","expires":"2027-03-01"}`},
			want:    status.Credential{Kind: tenant.ClientSecret, Expires: day},
		},
		"secret in AWS": {machine: map[string]string{"DEFENDER_SECRET_ID": "packhorse"}, parameters: map[string]string{}},
		"federated": {
			machine: map[string]string{"DEFENDER_CREDENTIAL": "federated"}, parameters: map[string]string{"DefenderCredential": "federated"},
			want: status.Credential{Kind: tenant.Federated},
		},
		"file":      {machine: map[string]string{"DEFENDER_CERTIFICATE_FILE": file}, want: status.Credential{Kind: tenant.Certificate, Expires: expires}},
		"file gone": {machine: map[string]string{"DEFENDER_CERTIFICATE_FILE": file + "x"}},
		"key in KMS": {
			machine:    map[string]string{"DEFENDER_CERTIFICATE_KEY_ID": "alias/app", "DEFENDER_CERTIFICATE_PEM": text},
			parameters: map[string]string{"DefenderCredential": "certificate", "DefenderCertificatePem": text},
			want:       status.Credential{Kind: tenant.Certificate, Expires: expires},
		},
		"certificate in Secrets Manager": {
			machine:    map[string]string{"DEFENDER_CERTIFICATE_SECRET_ID": "app"},
			parameters: map[string]string{"DefenderCredential": "certificate", "DefenderCertificateSecretArn": "app"},
		},
		"older template": {parameters: map[string]string{"DefenderSecretArn": "s"}},
	} {
		check := func(where string, got, other status.Credential) {
			if (len(got.Thumbprint) == 40) != (c.want.Kind == tenant.Certificate) {
				t.Errorf("%s, %s: the thumbprint is %q", name, where, got.Thumbprint)
			}
			got.Thumbprint = ""
			if got != c.want || other != (status.Credential{}) {
				t.Errorf("%s, %s: got %+v, want %+v; of another tenant %+v", name, where, got, c.want, other)
			}
		}
		if c.machine != nil {
			c.machine["DEFENDER_TENANT_ID"], c.machine["DEFENDER_CLIENT_ID"] = one, two
			m := desk.OfMachine(c.machine)
			check("machine", m.Credential(one), m.Credential(two))
		}
		if c.parameters != nil {
			p := desk.OfParameters(one, c.parameters)
			check("stack", p.Credential(one), p.Credential(two))
		}
	}
}
