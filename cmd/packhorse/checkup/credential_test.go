package checkup_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"

	"packhorse/cmd/packhorse/checkup"
	"packhorse/internal/doctor"
	"packhorse/internal/mde/mdesim"
	"packhorse/internal/ratelimit"
	"packhorse/internal/settings"
)

// office is a simulated tenant, and what doctor finds there with an environment.
type office struct {
	*mdesim.Server
	t      *testing.T
	config mdesim.Config

	aws     aws.Config
	foreign bool
}

func openOffice(t *testing.T) office {
	t.Helper()
	config := mdesim.Defaults()
	server, err := mdesim.Start(t.Context(), config, time.Now, "127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return office{Server: server, t: t, config: config}
}

// look returns the results of the checks that ask Entra ID or Defender.
func (o office) look(variables map[string]string) map[string]doctor.Result {
	o.t.Helper()
	environ := map[string]string{
		"DEFENDER_TENANT_ID": o.config.TenantID, "DEFENDER_CLIENT_ID": o.config.ClientID, "DEFENDER_CA_PEM": string(o.CAPEM),
		"DEFENDER_API_URL": o.APIURL, "DEFENDER_AUTHORITY_URL": o.APIURL,
	}
	for name, value := range variables {
		environ[name] = value
	}
	missing := func(context.Context) (checkup.Ledger, error) { return nil, errors.New("no ledger") }
	ports := checkup.Tenant{
		Environ: environ, Now: time.Now, Parse: settings.ParseCLI, Set: func(string, string) string { return "" },
		Foreign: o.foreign, AWS: func(context.Context) (aws.Config, error) { return o.aws, nil },
		Ledger: missing, Lists: func(context.Context) (ratelimit.Counter, error) { return ratelimit.NewMemory(), nil },
	}.Ports()
	results := map[string]doctor.Result{}
	for _, r := range doctor.Run(o.t.Context(), doctor.Tenant(ports), func(doctor.Result) {}) {
		results[r.Name] = r
	}
	return results
}

// certificate makes a certificate of the key that lasts some days.
func certificate(t *testing.T, key *rsa.PrivateKey, days int) (*x509.Certificate, string) {
	t.Helper()
	form := &x509.Certificate{
		SerialNumber: big.NewInt(int64(1000 + days)), Subject: pkix.Name{CommonName: "packhorse"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Duration(days)*24*time.Hour + time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// TestCredential: what Entra ID accepts, with the replacement that it does not know, and what it refuses.
func TestCredential(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	old, oldPEM := certificate(t, key, 12)
	_, newPEM := certificate(t, key, 300)
	_, pastPEM := certificate(t, key, -1)
	write := func(name, certificates string) string {
		path := filepath.Join(t.TempDir(), name)
		text := certificates + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	registration := o.Registration()
	registration.Certificates = append(registration.Certificates, old)
	if err := o.SetRegistration(registration); err != nil {
		t.Fatal(err)
	}
	secret := o.config.ClientSecret
	for _, test := range []struct {
		variable, value, check string
		state                  doctor.State
		says                   string
	}{
		{"DEFENDER_CLIENT_SECRET", secret, "credential", doctor.OK, `secret: Entra ID accepts the client secret, which has no "expires"`},
		{"DEFENDER_CLIENT_SECRET", `{"client_secret":"` + secret + `","expires":"2020-01-01"}`, "credential", doctor.Failed, "expired on 2020-01-01"},
		{
			"DEFENDER_CLIENT_SECRET", `{"client_secret":"wrong","expires":"2999-01-01","previous":"` + secret + `"}`, "credential",
			doctor.Warning, "accepts the previous client secret",
		},
		{"DEFENDER_CLIENT_SECRET", "wrong", "token", doctor.Failed, "AADSTS7000215"},
		{"DEFENDER_TENANT_ID", "00000000-0000-4000-8000-000000000000", "token", doctor.Failed, "AADSTS90002"},
		{"DEFENDER_CERTIFICATE_FILE", write("old", oldPEM), "credential", doctor.Warning, "(in 12 days)"},
		{"DEFENDER_CERTIFICATE_FILE", write("both", oldPEM+newPEM), "credential", doctor.Warning, "but not its replacement yet: the certificate"},
		{"DEFENDER_CERTIFICATE_FILE", write("new", newPEM), "token", doctor.Failed, "AADSTS700027"},
		{"DEFENDER_CERTIFICATE_FILE", write("past", pastPEM), "token", doctor.Failed, "expired on "},
		{"DEFENDER_CERTIFICATE_FILE", write("none", ""), "token", doctor.Failed, "it is not PEM with a certificate"},
	} {
		variables := map[string]string{test.variable: test.value}
		if test.variable == "DEFENDER_TENANT_ID" {
			variables["DEFENDER_CLIENT_SECRET"] = secret
		}
		results := o.look(variables)
		r := results[test.check]
		if r.State != test.state || !strings.Contains(r.Text, test.says) || (r.Advice == "") != (r.State == doctor.OK) {
			t.Errorf("%s: %s is %s, want %s with %q: %s; %s", test.value, test.check, r.State, test.state, test.says, r.Text, r.Advice)
		}
		failed := slices.Collect(func(yield func(string) bool) {
			for name, r := range results {
				if strings.Contains(r.Text+r.Advice, secret) || strings.Contains(r.Text+r.Advice, "PRIVATE") {
					t.Errorf("%s shows what is secret: %s; %s", name, r.Text, r.Advice)
				}
				if r.State == doctor.Failed && name != test.check && !yield(name) {
					return
				}
			}
		})
		if len(failed) > 0 {
			t.Errorf("%s: %q failed, too", test.value, failed)
		}
	}
}

// TestForeignCredential: on one machine it is a failure that AWS denies the use of the credential. That of a stack is for
// its functions alone.
func TestForeignCredential(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, certificatePEM := certificate(t, key, 300)
	o.aws = aws.Config{
		Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
		APIOptions: []func(*middleware.Stack) error{func(calls *middleware.Stack) error {
			return calls.Finalize.Add(middleware.FinalizeMiddlewareFunc("deny", func(ctx context.Context,
				_ middleware.FinalizeInput, _ middleware.FinalizeHandler,
			) (out middleware.FinalizeOutput, metadata middleware.Metadata, err error) {
				code := "AccessDenied" // as STS writes it
				if awsmiddleware.GetServiceID(ctx) != "STS" {
					code = "AccessDeniedException"
				}
				return out, metadata, &smithy.GenericAPIError{Code: code}
			}), middleware.After)
		}},
	}
	for operation, variables := range map[string]map[string]string{
		"AssumeRole":          {"DEFENDER_CREDENTIAL": "federated", "DEFENDER_IDENTITY_ROLE": "arn:aws:iam::123456789012:role/pk-defender-identity"},
		"GetWebIdentityToken": {"DEFENDER_CREDENTIAL": "federated"},
		"GetPublicKey":        {"DEFENDER_CERTIFICATE_KEY_ID": "alias/app", "DEFENDER_CERTIFICATE_PEM": certificatePEM},
		"GetSecretValue":      {"DEFENDER_CERTIFICATE_SECRET_ID": "app"},
	} {
		for foreign, want := range map[bool]doctor.State{true: doctor.Skipped, false: doctor.Failed} {
			o.foreign = foreign
			results := o.look(variables)
			r := results["token"]
			says := map[bool]string{true: "(" + operation + ": AccessDenied", false: ""}[foreign]
			if r.State != want || (r.Advice == "") != foreign || !strings.Contains(r.Text, says) {
				t.Errorf("%s, %t: %s: %s; %s", operation, foreign, r.State, r.Text, r.Advice)
			}
			for _, name := range []string{"credential", "roles", "list"} {
				if results[name].State != doctor.Skipped {
					t.Errorf("%s, %t: %s is %s: %s", operation, foreign, name, results[name].State, results[name].Text)
				}
			}
		}
	}
}
