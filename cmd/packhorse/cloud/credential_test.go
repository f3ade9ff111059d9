package cloud_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"

	"packhorse/cmd/packhorse/cloud"
	"packhorse/cmd/packhorse/stack"
	"packhorse/internal/doctor"
)

// openWith returns the cloud of a stack with these parameters, whose calls have these answers.
func openWith(t *testing.T, parameters map[string]string, answers map[string]any) *cloud.Cloud {
	t.Helper()
	cfg := configOf(func(operation string) (any, error) {
		if operation == "ListStackResources" {
			return &cloudformation.ListStackResourcesOutput{}, nil
		}
		if err, ok := answers[operation].(error); ok {
			return nil, err
		}
		return answers[operation], nil
	})
	s := &stack.Stack{Name: "pk", ID: "arn:aws:cloudformation:us-east-1:123456789012:stack/pk/1", AWS: cfg, Parameters: parameters,
		Outputs: map[string]string{"FederatedSubject": "arn:aws:iam::123456789012:role/pk-defender-identity"}}
	return cloud.Open(t.Context(), s, time.Now)
}

// certified returns a key, and a certificate of it that lasts some hours, as PEM.
func certified(t *testing.T, hours int) (key *rsa.PrivateKey, private, certificate string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-9 * time.Hour), NotAfter: time.Now().Add(time.Duration(hours) * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})),
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func spki(t *testing.T, public any) *kms.GetPublicKeyOutput {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return &kms.GetPublicKeyOutput{PublicKey: der}
}

// TestCertificateMatch: the certificates in the parameter are compared with the key in KMS.
func TestCertificateMatch(t *testing.T) {
	t.Parallel()
	key, _, own := certified(t, 5)
	_, _, other := certified(t, 6)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		pem     string
		public  any
		foreign int
	}{
		"own": {own, key.Public(), 0}, "another key's": {other, key.Public(), 1}, "one of each": {other + own, key.Public(), 1},
		"an elliptic curve": {own, ec.Public(), 1},
	} {
		p := openWith(t, map[string]string{"DefenderCredential": "certificate", "DefenderCertificatePem": c.pem},
			map[string]any{"GetPublicKey": spki(t, c.public)}).Ports()
		foreign, err := p.CertificateMatch(t.Context())
		if err != nil || len(foreign) != c.foreign || c.foreign > 0 && !strings.HasPrefix(foreign[0], "the certificate with thumbprint ") {
			t.Errorf("%s: %q, %v", name, foreign, err)
		}
		found, err := p.Certificates(t.Context())
		if err != nil || found.Problem != "" || len(found.Certificates) != strings.Count(c.pem, "BEGIN") ||
			!slices.IsSortedFunc(found.Certificates, func(a, b doctor.StackCertificate) int { return b.Expires.Compare(a.Expires) }) {
			t.Errorf("%s: %+v, %v", name, found, err)
		}
	}
}

// TestStoredCertificate: a certificate in Secrets Manager is read as the functions do, and its key is shown nowhere.
func TestStoredCertificate(t *testing.T) {
	t.Parallel()
	_, private, own := certified(t, 5)
	_, _, other := certified(t, 6)
	_, oldKey, old := certified(t, -5)
	for name, c := range map[string]struct {
		answer  any
		problem string // part of it
		deleted bool
		err     string
	}{
		"good":          {answer: private + own},
		"expired":       {answer: oldKey + old}, // which the check itself says
		"another key's": {answer: private + other, problem: "that of another private key"},
		"no key":        {answer: own, problem: "not PEM with a certificate and its unencrypted private key"},
		"no PEM":        {answer: "{}", problem: "not PEM"},
		"deleted":       {answer: &smithy.GenericAPIError{Code: "InvalidRequestException"}, deleted: true},
		"gone":          {answer: &smithy.GenericAPIError{Code: "ResourceNotFoundException"}, err: "does not exist"},
		"denied":        {answer: &smithy.GenericAPIError{Code: "AccessDeniedException"}, err: "not allowed: secretsmanager:GetSecretValue"},
	} {
		answer := c.answer
		if text, ok := answer.(string); ok {
			answer = &secretsmanager.GetSecretValueOutput{SecretString: &text}
		}
		found, err := openWith(t, map[string]string{"DefenderCredential": "certificate", "DefenderCertificateSecretArn": "pem"},
			map[string]any{"GetSecretValue": answer}).Ports().Certificates(t.Context())
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v", name, err)
		}
		if found.Deleted != c.deleted || (found.Problem == "") != (c.problem == "") || !strings.Contains(found.Problem, c.problem) ||
			strings.Contains(found.Problem, "BEGIN") {
			t.Errorf("%s: %+v", name, found)
		}
	}
}

// TestFederationFacts: the switch that was never touched is off, and policies are unescaped.
func TestFederationFacts(t *testing.T) {
	t.Parallel()
	const policy = `{"Statement": [{"Principal": {"AWS": "arn:aws:iam::1:role/a+b"}}]}`
	escaped := url.PathEscape(policy)
	answers := map[string]any{
		"GetOutboundWebIdentityFederationInfo": &smithy.GenericAPIError{Code: "FeatureDisabled"},
		"GetRole":                              &iam.GetRoleOutput{Role: &types.Role{AssumeRolePolicyDocument: &escaped}},
		"GetRolePolicy":                        &iam.GetRolePolicyOutput{PolicyDocument: aws.String(policy)},
	}
	p := openWith(t, map[string]string{"DefenderCredential": "federated"}, answers).Ports()
	if f, err := p.Federation(t.Context()); err != nil || f.Enabled {
		t.Errorf("got %+v, %v", f, err)
	}
	for _, look := range []doctor.Look[string]{p.IdentityTrust, p.IdentityPolicy} {
		if text, err := look(t.Context()); err != nil || text != policy {
			t.Errorf("got %s, %v", text, err)
		}
	}
	answers["GetOutboundWebIdentityFederationInfo"] = &iam.GetOutboundWebIdentityFederationInfoOutput{
		JwtVendingEnabled: true, IssuerIdentifier: aws.String("https://i"),
	}
	if f, err := p.Federation(t.Context()); err != nil || f != (doctor.StackFederation{Enabled: true, Issuer: "https://i"}) {
		t.Errorf("got %+v, %v", f, err)
	}
}

// TestSecretFacts: the template's placeholder is recognized in both forms, and so is text that is not a secret.
func TestSecretFacts(t *testing.T) {
	t.Parallel()
	_, placeholder, _ := strings.Cut(read(t, "template.yaml"), "SecretString: '")
	placeholder, _, _ = strings.Cut(placeholder, "'\n")
	for text, want := range map[string]doctor.StackSecret{
		placeholder: {Placeholder: true}, "replace-me": {Placeholder: true}, "Fake~Value": {}, `{"client_secret":"Fake~Value"}`: {},
		`{"password":"Fake~Value"}`: {Problem: "lacks \"client_secret\""}, "{": {Problem: "malformed"}, " ": {Problem: "it is empty"},
	} {
		found, err := openWith(t, map[string]string{"DefenderSecretArn": "s"}, map[string]any{
			"GetSecretValue": &secretsmanager.GetSecretValueOutput{SecretString: &text},
		}).Ports().Secret(t.Context())
		if err != nil || found.Placeholder != want.Placeholder || (found.Problem == "") != (want.Problem == "") ||
			!strings.Contains(found.Problem, want.Problem) || strings.Contains(found.Problem, "Fake~Value") {
			t.Errorf("%s: %+v, %v", text, found, err)
		}
	}
}
