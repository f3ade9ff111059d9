package mdesim_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"packhorse/internal/mde/mdesim"
)

// TestJoinedTenants: each tenant of a server has its own tokens, actions, links and judge, and a call across tenants
// is a broken rule.
func TestJoinedTenants(t *testing.T) {
	t.Parallel()
	config := mdesim.Defaults()
	s, err := mdesim.Start(t.Context(), config, time.Now, "127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	const otherID = "00000000-0000-4000-8000-000000000002"
	other := s.Join(otherID)
	for name, sim := range map[string]*mdesim.Simulator{"first": s.Simulator, "other": other} {
		sim.Add(mdesim.Action{
			ID: mdesim.IDOf(name), MachineID: mdesim.MachineOf(name), CreatedAt: time.Now().Add(-time.Hour),
			Steps: mdesim.Succeeding(time.Minute), PackageSize: 1000, PackageSeed: 1,
		})
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.CAPEM)
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true,
	}}
	token := func(tenantID string) string {
		t.Helper()
		resp, err := client.PostForm(s.APIURL+"/"+tenantID+"/oauth2/v2.0/token", url.Values{
			"grant_type": {"client_credentials"}, "client_id": {config.ClientID},
			"client_secret": {config.ClientSecret}, "scope": {"https://api.securitycenter.microsoft.com/.default"},
		})
		if err != nil {
			t.Fatal(err)
		}
		var answer struct {
			AccessToken string `json:"access_token"`
		}
		decode(t, resp, &answer)
		return answer.AccessToken
	}
	get := func(token, path string) (int, map[string]json.RawMessage) {
		t.Helper()
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, s.APIURL+path, nil)
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var answer map[string]json.RawMessage
		decode(t, resp, &answer)
		return resp.StatusCode, answer
	}
	for id, want := range map[string][2]string{config.TenantID: {"first", "other"}, otherID: {"other", "first"}} {
		signed := token(id)
		if _, list := get(signed, "/api/machineactions"); !strings.Contains(string(list["value"]), mdesim.IDOf(want[0])) ||
			strings.Contains(string(list["value"]), mdesim.IDOf(want[1])) {
			t.Errorf("%s lists %s", id, list["value"])
		}
		code, link := get(signed, "/api/machineactions/"+mdesim.IDOf(want[0])+"/getPackageUri")
		if code != http.StatusOK {
			t.Fatalf("%s: %d", id, code)
		}
		var address string
		_ = json.Unmarshal(link["value"], &address)
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		req.Header.Set("Accept-Encoding", "identity")
		resp, err := client.Do(req)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %v", id, err)
		}
		_ = resp.Body.Close()
	}
	if token("00000000-0000-4000-8000-000000000003") != "" {
		t.Error("an unknown tenant got a token")
	}
	for _, sim := range []*mdesim.Simulator{s.Simulator, other} {
		v := sim.Judge().Verdict()
		if v.Calls[mdesim.KindPackageURI] != 1 || v.Calls[mdesim.KindList] != 1 || len(v.BrokenRules) != 0 {
			t.Errorf("a judge saw %+v", v)
		}
	}
	if code, _ := get(token(otherID), "/api/machineactions/"+mdesim.IDOf("first")+"/getPackageUri"); code != http.StatusNotFound {
		t.Errorf("another tenant's action: %d", code)
	}
	if rules := other.Judge().Verdict().BrokenRules; len(rules) != 1 || !strings.Contains(rules[0], "was asked for with the token of") {
		t.Errorf("another tenant's action: %q", rules)
	}
}
