//go:build cloud

package cloudtest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"packhorse/internal/stssim"
)

// vouching is the STS of the functions. The local cloud's own signs no token that anybody could verify, so
// these two actions are simulated, and all others are passed on to it.
type vouching struct {
	*stssim.Server

	url   string
	cloud atomic.Pointer[url.URL]
}

func openVouching(t *testing.T) *vouching {
	t.Helper()
	issuer, err := stssim.NewIssuer("000000000000")
	if err != nil {
		t.Fatal(err)
	}
	v := &vouching{Server: stssim.New(issuer, "arn:aws:iam::000000000000:role/nobody-trusts-this", time.Now)}
	server := httptest.NewServer(v)
	t.Cleanup(server.Close)
	v.url = server.URL
	return v
}

// environ is what the functions inherit from the local cloud.
func (v *vouching) environ() []string { return []string{"AWS_ENDPOINT_URL_STS=" + v.url} }

// passOn names the cloud that gets all other calls. Until then they fail.
func (v *vouching) passOn(t *testing.T, endpoint string) {
	t.Helper()
	cloud, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	v.cloud.Store(cloud)
}

func (v *vouching) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	form, err := url.ParseQuery(string(body))
	cloud := v.cloud.Load()
	if err == nil && slices.Contains([]string{"AssumeRole", "GetWebIdentityToken"}, form.Get("Action")) || cloud == nil {
		v.Server.ServeHTTP(w, r)
		return
	}
	(&httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(cloud) }}).ServeHTTP(w, r)
}
