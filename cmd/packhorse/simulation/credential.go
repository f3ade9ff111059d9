package simulation

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"time"

	"packhorse/internal/mde/mdesim"
	"packhorse/internal/stssim"
	"packhorse/internal/tenant"
)

// CertificateFile is the name, in a data folder, of the simulated app's certificate with its key.
const CertificateFile = "simulated-app.pem"

const (
	account      = "123456789012"
	identityRole = "arn:aws:iam::" + account + ":role/simulated-defender-identity"
	audience     = "api://AzureADTokenExchange"

	// headerTimeout bounds how long a client of the simulated STS may take over its request.
	headerTimeout = 10 * time.Second

	keyBits = 2048
)

// identity is how the simulated app proves who it is.
type identity struct {
	environ      []string // the client's settings
	registration mdesim.Registration
	keys         func(issuer string) ([]byte, error)
	stsURL       string       // of the simulated STS; empty without one
	sts          *http.Server // nil without one
}

// newIdentity makes a credential of a kind. A certificate is stored in the file.
func newIdentity(ctx context.Context, kind tenant.Kind, file string) (identity, error) {
	switch kind {
	case tenant.Federated:
		return federated(ctx)
	case tenant.Certificate:
		return certified(file)
	default:
		secret := mdesim.Defaults().ClientSecret
		return identity{
			environ:      []string{"DEFENDER_CLIENT_SECRET=" + secret},
			registration: mdesim.Registration{Secrets: []string{secret}},
		}, nil
	}
}

// federated starts an STS that vouches for a role, which the app trusts.
func federated(ctx context.Context) (identity, error) {
	issuer, err := stssim.NewIssuer(account)
	if err != nil {
		return identity{}, err
	}
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return identity{}, fmt.Errorf("listen for the simulated STS: %w", err)
	}
	server := &http.Server{
		Handler:           stssim.New(issuer, identityRole, time.Now),
		ReadHeaderTimeout: headerTimeout,
	}
	go func() { _ = server.Serve(listener) }() // ends with Close
	url := "http://" + listener.Addr().String()
	return identity{
		environ: []string{
			"DEFENDER_CREDENTIAL=" + string(tenant.Federated), "AWS_ENDPOINT_URL_STS=" + url,
			"AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=simulated", "AWS_SECRET_ACCESS_KEY=simulated",
		},
		registration: mdesim.Registration{
			Federations: []mdesim.Federation{{Issuer: issuer.URL, Subject: identityRole, Audience: audience}},
		},
		keys: issuer.Keys, stsURL: url, sts: server,
	}, nil
}

// certified makes a certificate with its key, and registers it.
func certified(file string) (identity, error) {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return identity{}, fmt.Errorf("make the app's key: %w", err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "simulated app"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return identity{}, fmt.Errorf("make the app's certificate: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return identity{}, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return identity{}, err
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)
	err = os.WriteFile(file, text, 0o600)
	if err != nil {
		return identity{}, err
	}
	return identity{
		environ:      []string{"DEFENDER_CERTIFICATE_FILE=" + file},
		registration: mdesim.Registration{Certificates: []*x509.Certificate{certificate}},
	}, nil
}

func (i identity) close() error {
	if i.sts == nil {
		return nil
	}
	return i.sts.Close()
}
