package defender_test

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"packhorse/internal/defender"
	"packhorse/internal/entra"
	"packhorse/internal/investigation"
	"packhorse/internal/mde/mdesim"
	"packhorse/internal/ratelimit"
)

// site is a simulated tenant, and a trace of everything its client does: secrets read, leases,
// requests on the wire, connections.
type site struct {
	t       *testing.T
	tenant  defender.Tenant
	server  *mdesim.Server
	action  string
	app     *defender.App
	client  defender.Client
	counter counter // for package links; lists counts lists
	lists   counter

	mu    sync.Mutex // guards trace
	trace []string
}

func (s *site) note(event string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trace = append(s.trace, event)
}

// take returns the trace since the last call.
func (s *site) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.trace
	s.trace = nil
	return taken
}

// counter traces its calls.
type counter struct {
	ratelimit.Counter
	site   *site
	name   string
	down   error
	tokens int // tokens that Entra ID had issued at the last lease
}

func (c *counter) Lease(ctx context.Context, b ratelimit.Budget, owner string, now time.Time) (
	ratelimit.Decision, error,
) {
	c.site.note(c.name + " lease " + b.Name)
	c.tokens = c.site.server.Judge().Verdict().Calls[mdesim.KindToken]
	if c.down != nil {
		return ratelimit.Decision{}, c.down
	}
	return c.Counter.Lease(ctx, b, owner, now)
}

func (c *counter) Settle(ctx context.Context, b ratelimit.Budget, owner string, slot int,
	answeredAt time.Time,
) error {
	c.site.note(c.name + " settle " + b.Name)
	return c.Counter.Settle(ctx, b, owner, slot, answeredAt)
}

// store is a store whose text is what it returns.
type store func() (string, error)

func (s store) Read(context.Context, bool) (string, error) { return s() }

func (store) Previous(context.Context) (string, error) { return "", nil }

func open(t *testing.T) *site {
	t.Helper()
	config := mdesim.Defaults()
	server, err := mdesim.Start(t.Context(), config, time.Now, "127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, server: server, action: mdesim.IDOf("action", 1)}
	t.Cleanup(func() { _ = server.Close() })
	server.Add(mdesim.Action{
		ID: s.action, MachineID: mdesim.MachineOf("machine", 1), Requestor: "a@contoso.com",
		CreatedAt: time.Now().Add(-time.Hour).Truncate(time.Second), Steps: mdesim.Succeeding(time.Minute),
		PackageSize: 20_000, PackageSeed: 1,
	})
	root, err := url.Parse(server.APIURL)
	if err != nil {
		t.Fatal(err)
	}
	s.counter = counter{Counter: ratelimit.NewMemory(), site: s, name: "links:"}
	s.lists = counter{Counter: ratelimit.NewMemory(), site: s, name: "lists:"}
	s.tenant = defender.Tenant{
		ID: config.TenantID, ClientID: config.ClientID, APIURL: root, AuthorityURL: root,
		Scope:     "https://api.securitycenter.microsoft.com/.default",
		LinkHosts: []string{server.DownloadHost},
		Credential: entra.NewClientSecret(store(func() (string, error) {
			s.note("secret")
			return config.ClientSecret, nil
		}), "here"),
		Links: defender.Limits{PerMinute: 2, PerHour: 120},
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(server.CAPEM)
	s.app = defender.NewApp(s.tenant, s.watched(defender.Transport(roots)), time.Now)
	s.client, err = s.app.Client(defender.Counters{Links: &s.counter, Lists: &s.lists}, rand.Text,
		slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// watched makes the transport, and every copy, trace its requests on the wire: net/http looks up
// the proxy before it sends a request, including when it silently repeats one.
func (s *site) watched(t *http.Transport) *http.Transport {
	s.t.Cleanup(t.CloseIdleConnections)
	t.Proxy = func(r *http.Request) (*url.URL, error) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/"+s.tenant.ID): // Entra ID: a kept connection does not show
		case r.URL.Host == s.server.DownloadHost:
			s.note("download" + bearer(r))
		default:
			s.note(r.Method + " " + strings.ReplaceAll(r.URL.Path, s.action, "ID") + bearer(r))
		}
		return nil, nil
	}
	dial := t.DialContext
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		s.note("dial")
		return dial(ctx, network, address)
	}
	return t
}

func bearer(r *http.Request) string {
	kind, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if kind != "" {
		kind = " " + kind
	}
	return kind
}

// link asks for a package link.
func (s *site) link() investigation.Link {
	s.t.Helper()
	link, _, err := s.client.PackageURI(s.t.Context(), s.action)
	if err != nil {
		s.t.Fatal(err)
	}
	return link
}

// expect compares the trace since the last call.
func (s *site) expect(what string, want ...string) {
	s.t.Helper()
	got := s.take()
	if !slices.Equal(got, want) {
		s.t.Errorf("%s:\ngot  %q\nwant %q", what, got, want)
	}
}

func (s *site) budget(api string) string {
	return s.tenant.ID + "#" + s.tenant.ClientID + "#" + api
}

// The token comes before the lease, the lease before the request, and the answer settles the slot.
// So a call's lease does not include the time to get a token.
func TestOrderOfACall(t *testing.T) {
	s := open(t)
	s.expect("before the first call")
	s.link()
	got := s.take()
	got = slices.DeleteFunc(got, func(event string) bool { return event == "dial" })
	links := s.budget("getPackageUri")
	want := []string{
		"secret",
		"links: lease " + links, "GET /api/machineactions/ID/getPackageUri Bearer", "links: settle " + links,
	}
	if !slices.Equal(got, want) || s.counter.tokens != 1 {
		t.Errorf("%d tokens before the lease\ngot  %q\nwant %q", s.counter.tokens, got, want)
	}
}

// Every API call is counted once, in its own budget, carries the token, and has its own connection,
// on which net/http does not repeat requests.
func TestEveryCallIsCountedOnce(t *testing.T) {
	s := open(t)
	if err := s.app.SignIn(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.take()
	links, lists := s.budget("getPackageUri"), s.budget("machineactions")
	for range 2 {
		s.link()
		s.expect("a link", "links: lease "+links, "GET /api/machineactions/ID/getPackageUri Bearer", "dial",
			"links: settle "+links)
		_, err := s.client.Get(t.Context(), s.action)
		if err != nil {
			t.Fatal(err)
		}
		s.expect("a get", "lists: lease "+lists, "GET /api/machineactions/ID Bearer", "dial",
			"lists: settle "+lists)
	}
	listing, err := s.client.List(t.Context(), investigation.NewListing(time.Now().Add(-24*time.Hour)),
		func([]investigation.Action, []error) bool { return true })
	if err != nil || !listing.Done {
		t.Fatalf("got %+v, %v", listing, err)
	}
	page := []string{
		"lists: lease " + lists, "GET /api/machineactions Bearer", "dial", "lists: settle " + lists,
	}
	s.expect("a listing", slices.Repeat(page, listing.Pages)...)
	calls := s.server.Judge().Verdict().Calls
	if calls[mdesim.KindPackageURI] != 2 {
		t.Errorf("Defender saw %v", calls)
	}
}

// A download is not counted, and its host, which could be anybody's, never sees the token.
func TestDownloadIsNeitherCountedNorAuthenticated(t *testing.T) {
	s := open(t)
	link := s.link()
	s.take()
	pkg, err := s.client.Open(t.Context(), link)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(io.Discard, pkg.Body)
	if err = errors.Join(err, pkg.Body.Close()); err != nil {
		t.Fatal(err)
	}
	s.expect("a download", "download", "dial")
}

// A call that the counter denies, or does not answer for, is not sent.
func TestNothingIsSentWithoutALease(t *testing.T) {
	s := open(t)
	s.link()
	s.link()
	s.take()
	links := s.budget("getPackageUri")
	_, _, err := s.client.PackageURI(t.Context(), s.action)
	if exhausted, ok := errors.AsType[*ratelimit.ExhaustedError](err); !ok || exhausted.Budget != links {
		t.Errorf("got %v, want the budget %s spent", err, links)
	}
	s.expect("a third link", "links: lease "+links)
	s.counter.down = errors.New("the table is gone")
	_, _, err = s.client.PackageURI(t.Context(), s.action)
	if !errors.Is(err, s.counter.down) {
		t.Errorf("got %v, want %v", err, s.counter.down)
	}
	s.expect("without a counter", "links: lease "+links)
}

// A refused credential does not cost a slot.
func TestNothingIsLeasedWithoutAToken(t *testing.T) {
	s := open(t)
	refused := errors.New("no secret here")
	s.tenant.Credential = entra.NewClientSecret(store(func() (string, error) {
		s.note("secret")
		return "", refused
	}), "here")
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.server.CAPEM)
	app := defender.NewApp(s.tenant, s.watched(defender.Transport(roots)), time.Now)
	client, err := app.Client(defender.Counters{Links: &s.counter, Lists: &s.lists}, rand.Text,
		slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"a link": func() error {
			_, _, err := client.PackageURI(t.Context(), s.action)
			return err
		},
		"a get": func() error {
			_, err := client.Get(t.Context(), s.action)
			return err
		},
		"a sign-in": func() error { return app.SignIn(t.Context()) },
	} {
		if err := call(); !errors.Is(err, refused) {
			t.Errorf("%s: got %v, want %v", name, err, refused)
		}
		for _, event := range s.take() {
			if event != "secret" {
				t.Errorf("%s: %s", name, event)
			}
		}
	}
}

// The gauge reads the budget of package links, which has the tenant's limits.
func TestGauge(t *testing.T) {
	s := open(t)
	s.link()
	freeAt, err := s.client.Gauge.FreeAt(t.Context())
	if err != nil || len(freeAt) != s.tenant.Links.PerMinute {
		t.Fatalf("got %v, %v", freeAt, err)
	}
	if first, second := time.Until(freeAt[0]), time.Until(freeAt[1]); first > 0 || second < 50*time.Second {
		t.Errorf("after one link the slots are free in %v and %v", first, second)
	}
}

// Two tenants on one counter do not spend each other's budget, and neither do two apps of one
// tenant.
func TestBudgetsAreOfOneAppInOneTenant(t *testing.T) {
	s := open(t)
	s.link()
	for name, tenant := range map[string]func(*defender.Tenant){
		"another tenant": func(d *defender.Tenant) { d.ID = "11111111-1111-4111-8111-111111111111" },
		"another app":    func(d *defender.Tenant) { d.ClientID = "22222222-2222-4222-8222-222222222222" },
	} {
		other := s.tenant
		tenant(&other)
		client, err := defender.NewApp(other, defender.Transport(nil), time.Now).Client(
			defender.Counters{Links: &s.counter, Lists: &s.lists}, rand.Text, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		freeAt, err := client.Gauge.FreeAt(t.Context())
		if err != nil || len(freeAt) != 2 || time.Until(freeAt[1]) > 0 {
			t.Errorf("%s: the slots are free at %v, %v", name, freeAt, err)
		}
	}
}

// The client refuses every tenant that mde refuses.
func TestBadTenant(t *testing.T) {
	s := open(t)
	for name, spoil := range map[string]func(*defender.Tenant){
		"no id":         func(d *defender.Tenant) { d.ID = "" },
		"no link hosts": func(d *defender.Tenant) { d.LinkHosts = nil },
		"http":          func(d *defender.Tenant) { d.APIURL = &url.URL{Scheme: "http", Host: "host"} },
	} {
		tenant := s.tenant
		spoil(&tenant)
		client, err := defender.NewApp(tenant, defender.Transport(nil), time.Now).Client(
			defender.Counters{Links: &s.counter, Lists: &s.lists}, rand.Text, slog.New(slog.DiscardHandler))
		if err == nil || client.Client != nil {
			t.Errorf("%s: got %v, %v", name, client, err)
		}
	}
}
