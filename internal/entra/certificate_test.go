package entra_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

	"packhorse/internal/entra"
	"packhorse/internal/mde/mdesim"
)

func newKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// certify returns a certificate of the key that is valid for a year from the time on.
func certify(t *testing.T, key crypto.Signer, from time.Time) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(from.UnixNano()), Subject: pkix.Name{CommonName: "packhorse"},
		NotBefore: from, NotAfter: from.AddDate(1, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

// pemOf returns certificates, and the key unless it is nil.
func pemOf(t *testing.T, key crypto.Signer, certificates ...*x509.Certificate) string {
	t.Helper()
	var text []byte
	for _, certificate := range certificates {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})...)
	}
	if key != nil {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...)
	}
	return string(text)
}

// register replaces the certificates of the app registration.
func (a *authority) register(t *testing.T, all ...*x509.Certificate) {
	t.Helper()
	if err := a.SetRegistration(mdesim.Registration{Certificates: all}); err != nil {
		t.Fatal(err)
	}
}

// signer is a key that never leaves its place.
type signer struct {
	key *rsa.PrivateKey
	err error
}

func (s signer) PublicKey(context.Context) (crypto.PublicKey, error) { return s.key.Public(), s.err }

func (s signer) Sign(_ context.Context, digest []byte) ([]byte, error) {
	return rsa.SignPSS(rand.Reader, s.key, crypto.SHA256, digest,
		&rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
}

// certified returns both kinds of certificate credential for a key.
func certified(t *testing.T, a *authority, key *rsa.PrivateKey, certificates ...*x509.Certificate) map[string]entra.Credential {
	t.Helper()
	path := filepath.Join(t.TempDir(), "app.pem")
	if err := os.WriteFile(path, []byte(pemOf(t, key, certificates...)), 0o600); err != nil {
		t.Fatal(err)
	}
	return map[string]entra.Credential{
		"file": entra.NewCertificate(entra.File(path), path, a.clock.now),
		"key":  entra.NewKeyCertificate(signer{key: key}, pemOf(t, nil, certificates...), a.clock.now),
	}
}

// TestCertificate: Entra ID accepts the app by its certificate, and by the new one beside an expired one. While a
// certificate is replaced, the one that is registered is found.
func TestCertificate(t *testing.T) {
	t.Parallel()
	a := startAuthority(t)
	key := newKey(t)
	now := a.clock.now()
	expired, current, next := certify(t, key, now.AddDate(-2, 0, 0)), certify(t, key, now.AddDate(0, -6, 0)),
		certify(t, key, now.AddDate(0, 0, -1))
	for kind, credential := range certified(t, a, key, expired, current, next) {
		for name, registered := range map[string]*x509.Certificate{"current": current, "next": next} {
			a.register(t, registered)
			source := entra.NewTokenSource(a.application, credential, a.base, a.clock.now)
			if _, err := source.Token(t.Context()); err != nil {
				t.Errorf("%s, %s: %v", kind, name, err)
			}
		}
		proofs, err := credential.Proofs(t.Context(), a.application, false)
		if err != nil || len(proofs) != 2 || !proofs[0].Expires.Equal(next.NotAfter) {
			t.Errorf("%s: proofs %+v, %v", kind, proofs, err)
		}
	}
}

// TestCertificateRefusals: each fault is one clear error before Defender is called; none shows the key.
func TestCertificateRefusals(t *testing.T) {
	t.Parallel()
	a := startAuthority(t)
	key, other := newKey(t), newKey(t)
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := a.clock.now()
	mine, foreign := certify(t, key, now.AddDate(0, 0, -1)), certify(t, other, now.AddDate(0, 0, -1))
	denied := &smithy.GenericAPIError{Code: "AccessDeniedException"}
	file := func(text string) entra.Credential { return entra.NewCertificate(entra.Text(text), "here", a.clock.now) }
	inKMS := func(s signer, text string) entra.Credential { return entra.NewKeyCertificate(s, text, a.clock.now) }
	a.register(t, foreign)
	for name, test := range map[string]struct {
		credential entra.Credential
		code       int
		says       []string
	}{
		"not registered":             {file(pemOf(t, key, mine)), 700027, []string{"upload the certificate", "thumbprint "}},
		"not registered, in KMS":     {inKMS(signer{key: key}, pemOf(t, nil, mine)), 700027, []string{"upload the certificate"}},
		"another key's":              {file(pemOf(t, key, foreign)), 0, []string{"that of another private key"}},
		"another key's, in KMS":      {inKMS(signer{key: key}, pemOf(t, nil, foreign)), 0, []string{"not that of the key in DEFENDER_CERTIFICATE_KEY_ID"}},
		"expired":                    {file(pemOf(t, key, certify(t, key, now.AddDate(-2, 0, 0)))), 0, []string{"expired on", "make a new certificate"}},
		"not yet valid":              {file(pemOf(t, key, certify(t, key, now.AddDate(0, 0, 2)))), 0, []string{"valid only from", "clock"}},
		"elliptic":                   {file(pemOf(t, curve, certify(t, curve, now))), 0, []string{"not an RSA key"}},
		"no key":                     {file(pemOf(t, nil, mine)), 0, []string{"not PEM with a certificate and its unencrypted private key"}},
		"key where it should not be": {inKMS(signer{key: key}, pemOf(t, key, mine)), 0, []string{"beside certificates"}},
		"no file":                    {entra.NewCertificate(entra.File("/nowhere/app.pem"), "here", a.clock.now), 0, []string{"/nowhere/app.pem does not exist"}},
		"denied":                     {inKMS(signer{key: key, err: denied}, pemOf(t, nil, mine)), 0, []string{"allow kms:Sign and kms:GetPublicKey"}},
	} {
		source := entra.NewTokenSource(a.application, test.credential, a.base, a.clock.now)
		_, err := source.Token(t.Context())
		refused, ok := errors.AsType[*entra.Error](err)
		if !ok || refused.Code != test.code {
			t.Errorf("%s: got %v", name, err)
			continue
		}
		for _, want := range test.says {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not say %q", name, err, want)
			}
		}
		for _, hidden := range []string{"BEGIN", "eyJ", "MII"} {
			if strings.Contains(err.Error(), hidden) {
				t.Errorf("%s: the error shows %q: %v", name, hidden, err)
			}
		}
	}
}

// keyStore is KMS with one key.
type keyStore struct{ key crypto.Signer }

func (s keyStore) GetPublicKey(context.Context, *kms.GetPublicKeyInput, ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error) {
	der, err := x509.MarshalPKIXPublicKey(s.key.Public())
	return &kms.GetPublicKeyOutput{PublicKey: der}, err
}

func (s keyStore) Sign(_ context.Context, in *kms.SignInput, _ ...func(*kms.Options)) (*kms.SignOutput, error) {
	if in.MessageType != types.MessageTypeDigest {
		return nil, &smithy.GenericAPIError{Code: "ValidationException"}
	}
	var options crypto.SignerOpts = crypto.SHA256
	if in.SigningAlgorithm == types.SigningAlgorithmSpecRsassaPssSha256 {
		options = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	}
	signature, err := s.key.Sign(rand.Reader, in.Message, options)
	return &kms.SignOutput{Signature: signature}, err
}

// TestSelfSigned: a certificate of a key that stays in KMS proves the app, once it is registered.
func TestSelfSigned(t *testing.T) {
	t.Parallel()
	a := startAuthority(t)
	now := a.clock.now()
	key := entra.NewKMSKey(keyStore{newKey(t)}, "alias/app")
	made, err := key.SelfSigned(t.Context(), "packhorse", now, now.AddDate(1, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	block, rest := pem.Decode(made.PEM)
	if block == nil || len(rest) > 0 {
		t.Fatalf("got %q", made.PEM)
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if err := certificate.CheckSignature(certificate.SignatureAlgorithm, certificate.RawTBSCertificate, certificate.Signature); err != nil {
		t.Errorf("the certificate did not sign itself: %v", err)
	}
	a.register(t, certificate)
	source := entra.NewTokenSource(a.application, entra.NewKeyCertificate(key, string(made.PEM), a.clock.now), a.base, a.clock.now)
	if _, err := source.Token(t.Context()); err != nil {
		t.Errorf("its token: %v", err)
	}
	if got := source.Standing(); !got.Expires.Equal(certificate.NotAfter) || !strings.Contains(got.Name, made.Thumbprint) {
		t.Errorf("its standing: %+v", got)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, err = entra.NewKMSKey(keyStore{curve}, "alias/app").SelfSigned(t.Context(), "packhorse", now, now.AddDate(1, 0, 0))
	if refused, ok := errors.AsType[*entra.Error](err); !ok || !strings.Contains(refused.Advice, "RSA_2048") {
		t.Errorf("a key of the wrong kind: %v", err)
	}
}
