package mde_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/mde/mdesim"
	"packhorse/internal/racing"
)

// measured counts the calls and the bytes answered.
type measured struct {
	http.RoundTripper
	calls int
	bytes int64
}

func (m *measured) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := m.RoundTripper.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	m.calls++
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.TeeReader(resp.Body, counterOf(&m.bytes)), resp.Body}
	return resp, nil
}

type byteCounter struct{ n *int64 }

func counterOf(n *int64) io.Writer { return byteCounter{n} }

func (c byteCounter) Write(p []byte) (int, error) {
	*c.n += int64(len(p))
	return len(p), nil
}

// authorized returns a network whose only host is the simulator, and which has a token.
func authorized(t *testing.T, sim *mdesim.Simulator) http.RoundTripper {
	t.Helper()
	api, config := sim.API(), mdesim.Defaults()
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {config.ClientID}, "client_secret": {config.ClientSecret},
		"scope": {"https://api.securitycenter.microsoft.com/.default"},
	}
	req := httptest.NewRequest(http.MethodPost, "/"+config.TenantID+"/oauth2/v2.0/token", strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer := httptest.NewRecorder()
	api.ServeHTTP(answer, req)
	var token struct {
		Text string `json:"access_token"`
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &token); err != nil || token.Text == "" {
		t.Fatalf("no token: %v", err)
	}
	return tripper(func(req *http.Request) (*http.Response, error) {
		sent := req.Clone(req.Context())
		sent.Header.Set("Authorization", "Bearer "+token.Text)
		answer := httptest.NewRecorder()
		api.ServeHTTP(answer, sent)
		return answer.Result(), nil
	})
}

// TestFollowing: in a tenant with 20,000 actions that ended, a listing that follows change takes two calls and at most
// 20 KB, and shows what is new and what it asks for.
func TestFollowing(t *testing.T) {
	sim := mdesim.New(mdesim.Defaults(), time.Now)
	begin := time.Now().Add(-100 * time.Hour)
	for i := range racing.Size(20_000, 2_000) {
		sim.Add(mdesim.Action{
			ID: mdesim.IDOf("ended", i), MachineID: mdesim.MachineOf("ended", i), Requestor: "a@contoso.com",
			CreatedAt: begin.Add(time.Duration(i) * 15 * time.Second), Steps: mdesim.Ending(time.Minute, "Failed"),
		})
	}
	offline, fresh := mdesim.IDOf("offline", 1), mdesim.IDOf("fresh", 1)
	sim.Add(mdesim.Action{
		ID: offline, MachineID: mdesim.MachineOf("offline", 1), CreatedAt: begin, Steps: mdesim.Ending(1000*time.Hour, "Failed"),
	})
	sim.Add(mdesim.Action{
		ID: fresh, MachineID: mdesim.MachineOf("fresh", 1), CreatedAt: time.Now().Add(-time.Minute),
		Steps: mdesim.Ending(time.Hour, "Failed"),
	})
	wire := &measured{RoundTripper: authorized(t, sim)}
	client := newClient(t, transports{lister: wire})
	seen := map[string]bool{}
	see := func(actions []investigation.Action, _ []error) bool {
		for _, a := range actions {
			seen[a.ActionID] = true
		}
		return true
	}
	at, err := client.List(t.Context(), investigation.NewListing(time.Now().Add(-5*time.Minute)).Asking([]string{offline}), see)
	if err != nil || !at.Done || len(seen) != 2 || !seen[offline] || !seen[fresh] {
		t.Errorf("saw %v, %+v, %v", seen, at, err)
	}
	if wire.calls > 2 || wire.bytes > 20_000 {
		t.Errorf("%d calls answered %d bytes, want 2 and 20,000 at most", wire.calls, wire.bytes)
	}
	t.Logf("%d calls, %d bytes", wire.calls, wire.bytes)
}

// TestCannotAsk: a service that refuses to list by id says so in a way that the sweep understands.
func TestCannotAsk(t *testing.T) {
	client := newClient(t, transports{lister: tripper(func(req *http.Request) (*http.Response, error) {
		if strings.Contains(req.URL.Query().Get("$filter"), "id eq ") {
			return reply(400, `{"error":{"code":"ODataError","message":"Unsupported filter"}}`), nil
		}
		return reply(200, `{"value":[]}`), nil
	})})
	listing := investigation.NewListing(time.Now())
	list := func(at investigation.Listing) error {
		_, err := client.List(context.Background(), at, func([]investigation.Action, []error) bool { return true })
		return err
	}
	if err := list(listing.Asking([]string{idOf(1)})); !errors.Is(err, investigation.ErrCannotAsk) {
		t.Errorf("asking: %v", err)
	}
	if err := list(listing); err != nil {
		t.Errorf("not asking: %v", err)
	}
}
