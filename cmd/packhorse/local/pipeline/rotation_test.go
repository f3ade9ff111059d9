package pipeline_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sts"

	"packhorse/cmd/packhorse/local/pipeline"
	"packhorse/internal/defender"
	"packhorse/internal/entra"
	"packhorse/internal/mde/mdesim"
	"packhorse/internal/ratelimit"
	"packhorse/internal/stssim"
)

// pipes is a network without sockets, which a bubble's clock does not wait for.
type pipes struct {
	mu    sync.Mutex
	hosts map[string]chan net.Conn
}

// serve serves a handler as a host.
func (p *pipes) serve(t *testing.T, host string, handler http.Handler) {
	accepted := make(chan net.Conn)
	p.mu.Lock()
	p.hosts[host] = accepted
	p.mu.Unlock()
	server := &http.Server{Handler: handler}
	listener := pipeListener{accepted, make(chan struct{})}
	var done sync.WaitGroup
	done.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() {
		_ = server.Close()
		done.Wait()
	})
}

func (p *pipes) dial(ctx context.Context, _, address string) (net.Conn, error) {
	p.mu.Lock()
	accepted := p.hosts[address]
	p.mu.Unlock()
	client, server := net.Pipe()
	select {
	case accepted <- server:
		return client, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type pipeListener struct {
	accepted chan net.Conn
	closed   chan struct{}
}

func (l pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.accepted:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l pipeListener) Close() error {
	close(l.closed)
	return nil
}

func (pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// site is a simulated tenant with a client, in a bubble.
type site struct {
	*world
	sim    *mdesim.Simulator
	text   entra.Text     // what the store of the credential holds; guarded by the world's mutex
	issuer *stssim.Issuer // vouches for the role
}

const (
	apiHost      = "api.example:443"
	downloadHost = "packages.example:443"
	role         = "arn:aws:iam::123456789012:role/packhorse-defender-identity"
	audience     = "api://AzureADTokenExchange"
)

// Read and Previous make the site the store of its credential.
func (s *site) Read(context.Context, bool) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.text), nil
}

// store replaces what the store of the credential holds.
func (s *site) store(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = entra.Text(text)
}

func (*site) Previous(context.Context) (string, error) { return "", nil }

// GetWebIdentityToken vouches for the role.
func (s *site) GetWebIdentityToken(_ context.Context, in *sts.GetWebIdentityTokenInput, _ ...func(*sts.Options)) (
	*sts.GetWebIdentityTokenOutput, error,
) {
	token, err := s.issuer.Sign(stssim.Claims{
		Issuer: s.issuer.URL, Subject: role, Audience: in.Audience[0],
		IssuedAt: time.Now(), ExpiresAt: time.Now().Add(5 * time.Minute),
	})
	return &sts.GetWebIdentityTokenOutput{WebIdentityToken: &token}, err
}

// load is how many packages become ready while credentials are replaced: one every three minutes for six hours.
const (
	load      = 120
	loadEvery = 3 * time.Minute
)

// run works through the load with the credential, while replace does something to it.
func (s *site) run(t *testing.T, credential entra.Credential, replace func(since func(time.Duration))) (failed int) {
	t.Helper()
	begin := time.Now()
	for i := range load {
		s.sim.Add(mdesim.Action{
			ID: mdesim.IDOf("rotation", i), MachineID: mdesim.MachineOf("rotation", i), Requestor: "a@contoso.com",
			CreatedAt:   begin.Add(time.Duration(i) * loadEvery).Truncate(time.Second),
			Steps:       mdesim.Succeeding(time.Minute),
			PackageSize: 2_000, PackageSeed: uint64(i),
		})
	}
	network := &pipes{hosts: map[string]chan net.Conn{}}
	network.serve(t, apiHost, s.sim.API())
	network.serve(t, downloadHost, s.sim.Downloads())
	transport := &http.Transport{DialTLSContext: network.dial, DisableKeepAlives: true}
	root := &url.URL{Scheme: "https", Host: strings.TrimSuffix(apiHost, ":443")}
	config := mdesim.Defaults()
	app := defender.NewApp(defender.Tenant{
		ID: config.TenantID, ClientID: config.ClientID, APIURL: root, AuthorityURL: root,
		Scope: "https://api.securitycenter.microsoft.com/.default", LinkHosts: []string{strings.TrimSuffix(downloadHost, ":443")},
		Credential: credential, Links: defender.Limits{PerMinute: 2, PerHour: 120},
	}, transport, time.Now)
	counter := ratelimit.NewMemory()
	client, err := app.Client(defender.Counters{Links: counter, Lists: counter}, rand.Text, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	p := pipeline.New(pipeline.Config{
		Defender: client, Ledger: s.Ledger, Archive: s, Space: s, Custody: s, Budget: client.Gauge,
		TenantID: config.TenantID, Lookback: 168 * time.Hour, Every: 30 * time.Second,
		Prefix: "packages/", Lease: time.Minute, NewOwner: rand.Text,
		Mendable: func(error) bool { return false },
		Failing:  func(error) {}, Heartbeat: 55 * time.Second, Share: pipeline.NewShare(),
		Reporter: s, Now: time.Now, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	ctx, stop := context.WithCancel(t.Context())
	var work sync.WaitGroup
	work.Go(func() {
		if err := p.Run(ctx, false); err != nil {
			t.Error(err)
		}
	})
	replace(func(since time.Duration) { time.Sleep(time.Until(begin.Add(since))) })
	time.Sleep(time.Until(begin.Add(load*loadEvery + 15*time.Minute)))
	stop()
	work.Wait()
	verdict := s.sim.Judge().Verdict()
	if len(verdict.BrokenRules) > 0 || verdict.MostInAnyMinute > 2 || verdict.MostInAlignedMin > 2 {
		t.Errorf("rules were broken: %+v", verdict)
	}
	if got := len(s.stored); got != load {
		t.Errorf("%d of %d packages were stored", got, load)
	}
	if calls := verdict.Calls[mdesim.KindPackageURI]; calls != load {
		t.Errorf("%d calls for links, want one for each of %d packages", calls, load)
	}
	for _, hidden := range []string{"eyJ", "simulated~", "PRIVATE"} {
		if strings.Contains(log.String(), hidden) {
			t.Errorf("the log shows %q: %s", hidden, log.String())
		}
	}
	return strings.Count(log.String(), "a step failed")
}

// newSite returns a site whose app registration accepts what r says.
func newSite(t *testing.T, keys func(string) ([]byte, error)) *site {
	t.Helper()
	config := mdesim.Defaults()
	config.APIOrigin, config.DownloadOrigin = "https://"+strings.TrimSuffix(apiHost, ":443"), "https://"+strings.TrimSuffix(downloadHost, ":443")
	config.Keys = keys
	return &site{world: newWorld(), sim: mdesim.New(config, time.Now)}
}

// accept replaces what the app registration accepts.
func (s *site) accept(t *testing.T, r mdesim.Registration) {
	t.Helper()
	if err := s.sim.SetRegistration(r); err != nil {
		t.Error(err)
	}
}

// TestRotation: while a credential is replaced under load, no package is lost, no call is sent twice, and at most one
// step fails.
func TestRotation(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := stssim.NewIssuer("123456789012")
	if err != nil {
		t.Fatal(err)
	}
	for name, rotate := range map[string]func(*testing.T, *site) int{
		"secret replaced": func(t *testing.T, s *site) int {
			s.store("old~secret")
			s.accept(t, mdesim.Registration{Secrets: []string{"old~secret"}})
			return s.run(t, entra.NewClientSecret(s, "here"), func(since func(time.Duration)) {
				since(100 * time.Minute) // without an overlap
				s.accept(t, mdesim.Registration{Secrets: []string{"new~secret"}})
				s.store("new~secret")
			})
		},
		"secret replaced, the store last": func(t *testing.T, s *site) int {
			s.store("old~secret")
			s.accept(t, mdesim.Registration{Secrets: []string{"old~secret"}})
			return s.run(t, entra.NewClientSecret(s, "here"), func(since func(time.Duration)) {
				since(109 * time.Minute)
				s.accept(t, mdesim.Registration{Secrets: []string{"new~secret"}})
				since(112 * time.Minute)
				s.store("new~secret")
			})
		},
		"certificate replaced": func(t *testing.T, s *site) int {
			old, next := certificateOf(t, key, 30), certificateOf(t, key, 365)
			s.store(textOf(t, key, old))
			s.accept(t, mdesim.Registration{Certificates: []*x509.Certificate{old}})
			return s.run(t, entra.NewCertificate(s, "here", time.Now), func(since func(time.Duration)) {
				since(50 * time.Minute)
				s.store(textOf(t, key, old, next)) // before Entra ID knows the new one
				since(170 * time.Minute)
				s.accept(t, mdesim.Registration{Certificates: []*x509.Certificate{old, next}})
				since(250 * time.Minute)
				s.accept(t, mdesim.Registration{Certificates: []*x509.Certificate{next}})
			})
		},
		"federated credential removed and put back": func(t *testing.T, s *site) int {
			s.issuer = issuer
			trust := mdesim.Registration{Federations: []mdesim.Federation{
				{Issuer: issuer.URL, Subject: role, Audience: audience},
			}}
			s.accept(t, trust)
			return s.run(t, entra.NewFederation(s, role, audience), func(since func(time.Duration)) {
				since(100 * time.Minute)
				s.accept(t, mdesim.Registration{})
				since(116 * time.Minute) // the token has to be replaced in between
				s.accept(t, trust)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			today(t, func(t *testing.T) {
				if failed := rotate(t, newSite(t, issuer.Keys)); failed > 1 {
					t.Errorf("%d steps failed, want one at most", failed)
				}
			})
		})
	}
}

// certificateOf returns a certificate of the key that is valid for a number of days.
func certificateOf(t *testing.T, key crypto.Signer, days int) *x509.Certificate {
	t.Helper()
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(int64(days)), Subject: pkix.Name{CommonName: fmt.Sprint(days, " days")},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(0, 0, days),
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

// textOf returns the key and certificates in PEM.
func textOf(t *testing.T, key *rsa.PrivateKey, certificates ...*x509.Certificate) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	for _, certificate := range certificates {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})...)
	}
	return string(text)
}
