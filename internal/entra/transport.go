package entra

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Transport is an [http.RoundTripper] that adds the bearer token to requests to one origin and
// refuses all others. It gets the token before it passes the request on, so the call's lease does
// not include waiting for a token.
type Transport struct {
	base   http.RoundTripper
	source *TokenSource
	origin *url.URL
}

// NewTransport returns a Transport that sends through base, and only to the URL's origin (scheme,
// host and port).
func NewTransport(base http.RoundTripper, source *TokenSource, origin *url.URL) *Transport {
	return &Transport{base: base, source: source, origin: origin}
}

// errForeignOrigin means that the request was for another host and was not sent.
var errForeignOrigin = errors.New("the bearer token is not for this host")

// RoundTrip implements [http.RoundTripper]. It sends a copy, so the request itself never holds the
// token. After a 401 or 403 it drops the token, so the next call benefits from a newly granted
// permission.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	token, err := t.tokenFor(req)
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // a RoundTripper must always close the body
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

// hostPort returns u's host in lower case with its port, so an explicit default port makes no
// difference.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return strings.ToLower(u.Hostname()) + ":" + port
}
