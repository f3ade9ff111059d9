package mdesim

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"time"
)

const (
	// headerTimeout bounds how long a client may take over its request.
	headerTimeout = 10 * time.Second

	// certificateLifetime is longer than any run.
	certificateLifetime = 30 * 24 * time.Hour
)

// Server serves a Simulator over TLS, with its own certificate authority. More tenants may join it. It MUST be closed.
type Server struct {
	*Simulator          // the first tenant
	APIURL       string // https://host:port of the API and the token endpoint
	DownloadHost string // host:port
	CAPEM        []byte // the root certificate that clients must trust

	site    *site
	servers []*http.Server
}

// Start serves a new Simulator, with its API on one address ("127.0.0.1:0" picks a port) and its
// downloads on another. It sets the origins in config from them.
func Start(ctx context.Context, config Config, now func() time.Time, apiAddress,
	downloadAddress string,
) (*Server, error) {
	authority, err := newAuthority(now())
	if err != nil {
		return nil, fmt.Errorf("make certificates: %w", err)
	}
	var listen net.ListenConfig
	api, err := listen.Listen(ctx, "tcp", apiAddress)
	if err != nil {
		return nil, fmt.Errorf("listen for the API: %w", err)
	}
	downloads, err := listen.Listen(ctx, "tcp", downloadAddress)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen for downloads: %w", err), api.Close())
	}
	config.APIOrigin = "https://" + api.Addr().String()
	config.DownloadOrigin = "https://" + downloads.Addr().String()
	s := &Server{
		Simulator: New(config, now), APIURL: config.APIOrigin,
		DownloadHost: downloads.Addr().String(), CAPEM: authority.pem, site: &site{},
	}
	s.site.add(s.Simulator)
	for listener, handler := range map[net.Listener]http.Handler{
		api: http.HandlerFunc(s.site.serveAPI), downloads: http.HandlerFunc(s.site.serveDownload),
	} {
		certificate, err := authority.issue(listener.Addr(), now())
		if err != nil {
			return nil, errors.Join(fmt.Errorf("make certificates: %w", err), s.Close(),
				api.Close(), downloads.Close())
		}
		s.serve(listener, handler, certificate)
	}
	return s, nil
}

func (s *Server) serve(listener net.Listener, handler http.Handler, certificate tls.Certificate) {
	server := &http.Server{
		Handler:           s.dated(handler),
		ReadHeaderTimeout: headerTimeout,
		ConnContext:       countRequests,
		TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12,
		},
		ErrorLog: discardLog(),
	}
	s.servers = append(s.servers, server)
	go func() { _ = server.ServeTLS(listener, "", "") }() // ends with Close
}

// dated answers with the simulator's time, which may not be the system's.
func (s *Server) dated(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", s.now().UTC().Format(http.TimeFormat))
		handler.ServeHTTP(w, r)
	})
}

// Close stops both servers immediately, including responses in progress.
func (s *Server) Close() error {
	var failures []error
	for _, server := range s.servers {
		failures = append(failures, server.Close())
	}
	return errors.Join(failures...)
}

// authority is an in-memory certificate authority.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
}

func newAuthority(now time.Time) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "packhorse simulator root"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(certificateLifetime),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &authority{
		certificate: certificate, key: key,
		pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
	}, nil
}

// issue makes a server certificate for an address.
func (a *authority) issue(address net.Addr, now time.Time) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "packhorse simulator"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(certificateLifetime),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	if tcp, ok := address.(*net.TCPAddr); ok && !tcp.IP.IsUnspecified() {
		template.IPAddresses = append(template.IPAddresses, tcp.IP)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
