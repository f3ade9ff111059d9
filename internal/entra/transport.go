package entra

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Transport is an [http.RoundTripper] that adds the bearer token to requests to one origin and
// refuses all others. It has the token before it hands the request on, so that waiting for one is
// no part of a call's lease.
type Transport struct {
	base   http.RoundTripper
	source *TokenSource
	origin *url.URL
}

// NewTransport returns a Transport that sends through base, to the origin (scheme, host and port)
// of the URL only.
func NewTransport(base http.RoundTripper, source *TokenSource, origin *url.URL) *Transport {
	return &Transport{base: base, source: source, origin: origin}
}

// errForeignOrigin: the request was not for the API. Nothing was sent.
var errForeignOrigin = errors.New("the bearer token is not for this host")

// RoundTrip implements [http.RoundTripper]. It sends a copy of the request; the request itself
// never holds the token. A token the API answers 401 or 403 to is not kept, so that a permission
// granted meanwhile takes effect with the next call.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	token, err := t.tokenFor(req)
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // a RoundTripper closes the body whatever happens
		}
		return nil, err
	}
	authorised := req.Clone(req.Context())
	authorised.Header.Set("Authorization", "Bearer "+token)
	resp, err := t.base.RoundTrip(authorised)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden {
		t.source.reject(token)
	}
	return resp, nil
}

func (t *Transport) tokenFor(req *http.Request) (string, error) {
	if req.URL.Scheme != t.origin.Scheme || hostPort(req.URL) != hostPort(t.origin) {
		return "", fmt.Errorf("%w: %.128q", errForeignOrigin, req.URL.Host)
	}
	return t.source.Token(req.Context())
}

// hostPort is u's host in lower case with its port, so that a default port makes no difference.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return strings.ToLower(u.Hostname()) + ":" + port
}
