package mde_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"packhorse/internal/fetch"
	"packhorse/internal/investigation"
	"packhorse/internal/mde"
	"packhorse/internal/poll"
)

var (
	_ poll.Defender  = (*mde.Client)(nil)
	_ fetch.Defender = (*mde.Client)(nil)
)

const (
	tenant  = "7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11"
	machine = "1e5bc9d7e413ddd7902c2932e418702b84d0cc07"
	action  = "ea098113-c6ed-44ed-bb04-f1e3f160eff4"

	// secret is part of every link; no error may show it.
	secret = "s3cr3t"
	link   = "https://store.blob.core.windows.net/packages/" + secret + ".zip?sig=" + secret
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// tripper is a function that answers a test's requests.
type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	return f(req)
}

// forbidden is the transport for calls a test does not expect.
func forbidden(t *testing.T) tripper {
	return func(req *http.Request) (*http.Response, error) {
		t.Errorf("unexpected request: %s %s", req.Method, req.URL)
		return nil, errors.New("unexpected request")
	}
}

// reply makes a response that declares its length.
func reply(status int, body string, header ...string) *http.Response {
	resp := &http.Response{
		StatusCode: status, Header: http.Header{},
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
	for i := 0; i < len(header); i += 2 {
		resp.Header.Set(header[i], header[i+1])
	}
	return resp
}

// always gives every request the same response.
func always(status int, body string, header ...string) tripper {
	return func(*http.Request) (*http.Response, error) {
		return reply(status, body, header...), nil
	}
}

type transports struct{ lister, linker, downloads http.RoundTripper }

// newClient returns a client; transports that are not given must not be used.
func newClient(t *testing.T, via transports) *mde.Client {
	t.Helper()
	for _, target := range []*http.RoundTripper{&via.lister, &via.linker, &via.downloads} {
		if *target == nil {
			*target = forbidden(t)
		}
	}
	base, err := url.Parse("https://api.security.microsoft.com")
	if err != nil {
		t.Fatal(err)
	}
	client, err := mde.New(base, tenant, via.lister, via.linker, via.downloads,
		[]string{".blob.core.windows.net", "localhost:8443"}, func() time.Time { return noon })
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// checkPostponed fails unless err says to ask again at the wanted instant.
func checkPostponed(t *testing.T, err error, want time.Time) {
	t.Helper()
	postponed, ok := errors.AsType[*investigation.PostponedError](err)
	if !ok {
		t.Fatalf("got %v, want a postponed error", err)
	}
	if !postponed.RetryAt.Equal(want) {
		t.Errorf("postponed until %v, want %v", postponed.RetryAt, want)
	}
}

// checkNoSecret fails if err shows part of a link, however it is printed.
func checkNoSecret(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		t.Fatal("got no error")
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		if text := fmt.Sprintf("%v %+v %#v", e, e, e); strings.Contains(text, secret) {
			t.Errorf("the error shows the link: %s", text)
		}
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	for name, tt := range map[string]struct {
		base, tenant string
		hosts        []string
		want         string
	}{
		"clear text": {"http://api.security.microsoft.com", tenant, []string{"a.example"}, "https"},
		"user":       {"https://me:pw@api.example", tenant, []string{"a.example"}, "https"},
		"query":      {"https://api.example?x=1", tenant, []string{"a.example"}, "https"},
		"tenant":     {"https://api.example", "contoso.com", []string{"a.example"}, "tenant"},
		"no hosts":   {"https://api.example", tenant, nil, "link hosts"},
		"url":        {"https://api.example", tenant, []string{"https://a.example"}, "entry 1"},
		"both named": {"https://api.example", tenant, []string{"*.a", "b:0"}, "entry 1, entry 2"},
	} {
		t.Run(name, func(t *testing.T) {
			base, err := url.Parse(tt.base)
			if err != nil {
				t.Fatal(err)
			}
			_, err = mde.New(base, tt.tenant, forbidden(t), forbidden(t), forbidden(t), tt.hosts, nil)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error that says %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "pw@") {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}

func TestRefusalsOfTheAPI(t *testing.T) {
	body := `{"error":{"code":"TooManyRequests","message":"quota exceeded","target":"43f4cb08"}}`
	for name, tt := range map[string]struct {
		status     int
		retryAfter string
		until      time.Duration // 0: not postponed
	}{
		"throttled":              {429, "", time.Minute},
		"throttled, briefly":     {429, "5", time.Minute},
		"throttled, long":        {429, "90", 90 * time.Second},
		"throttled, by date":     {429, "Mon, 23 Nov 2026 12:10:00 GMT", 10 * time.Minute},
		"throttled, absurdly":    {429, "2000000000", time.Hour},
		"throttled, nonsense":    {429, "soon", time.Minute},
		"token refused":          {401, "", mde.CredentialPause},
		"permission missing":     {403, "", mde.CredentialPause},
		"not found":              {404, "", 0},
		"their fault":            {500, "", 0},
		"a redirect, unfollowed": {302, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			refuse := always(tt.status, body, "Retry-After", tt.retryAfter,
				"Location", "https://elsewhere.example/"+secret)
			client := newClient(t, transports{lister: refuse, linker: refuse})
			_, _, linkErr := client.PackageURI(t.Context(), action)
			_, getErr := client.Get(t.Context(), action)
			_, _, listErr := client.ListAll(t.Context(), noon)
			for _, err := range []error{linkErr, getErr, listErr} {
				checkNoSecret(t, err)
				refused, ok := errors.AsType[*mde.StatusError](err)
				if !ok || refused.Status != tt.status || refused.Code != "TooManyRequests" ||
					refused.Message != "quota exceeded" || refused.Target != "43f4cb08" {
					t.Fatalf("got %#v of %v", refused, err)
				}
				if tt.until > 0 {
					checkPostponed(t, err, noon.Add(tt.until))
				} else if _, ok := errors.AsType[*investigation.PostponedError](err); ok {
					t.Errorf("postponed: %v", err)
				}
				advised := strings.Contains(err.Error(), "Machine.ReadWrite.All")
				if want := tt.status == 401 || tt.status == 403; advised != want {
					t.Errorf("names the permissions: %t, want %t: %v", advised, want, err)
				}
			}
		})
	}
}

// A network that is down says nothing about the package and must not use up attempts. A missing
// response may be caused by the package, so it must use one up.
func TestOnlyConnectionsThatNeverCameAboutArePostponed(t *testing.T) {
	for name, tt := range map[string]struct {
		err       error
		postponed bool
	}{
		"dial":        {&net.OpError{Op: "dial", Err: errors.New("refused")}, true},
		"proxy":       {&net.OpError{Op: "proxyconnect", Err: errors.New("refused")}, true},
		"name":        {&net.DNSError{Err: "no such host", Name: "x.example"}, true},
		"certificate": {&tls.CertificateVerificationError{Err: errors.New("unknown authority")}, true},
		"no TLS":      {tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, true},
		"reset":       {&net.OpError{Op: "read", Err: errors.New("connection reset")}, false},
		"no answer":   {io.EOF, false},
	} {
		t.Run(name, func(t *testing.T) {
			fail := tripper(func(req *http.Request) (*http.Response, error) {
				return nil, &url.Error{Op: "Get", URL: req.URL.String(), Err: tt.err}
			})
			client := newClient(t, transports{lister: fail, linker: fail, downloads: fail})
			_, _, linkErr := client.PackageURI(t.Context(), action)
			_, openErr := client.Open(t.Context(), investigation.NewLink(link))
			_, _, listErr := client.ListAll(t.Context(), noon)
			for _, err := range []error{linkErr, openErr, listErr} {
				checkNoSecret(t, err)
				if tt.postponed {
					checkPostponed(t, err, noon.Add(mde.UnreachablePause))
				} else if _, ok := errors.AsType[*investigation.PostponedError](err); ok {
					t.Errorf("postponed: %v", err)
				}
			}
		})
	}
}

// Errors of the transports (budget spent, no token) are returned unchanged.
func TestDenialsOfTheTransportsAreHandedOn(t *testing.T) {
	denied := &investigation.PostponedError{RetryAt: noon.Add(7 * time.Second), Err: errors.New("spent")}
	deny := tripper(func(*http.Request) (*http.Response, error) {
		return nil, fmt.Errorf("lease a slot: %w", denied)
	})
	client := newClient(t, transports{lister: deny, linker: deny})
	_, _, err := client.PackageURI(t.Context(), action)
	checkPostponed(t, err, denied.RetryAt)
	_, _, err = client.ListAll(t.Context(), noon)
	checkPostponed(t, err, denied.RetryAt)
}

func TestCancelledCallsAreNotPostponed(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	client := newClient(t, transports{lister: always(200, "{}"), linker: always(200, "{}")})
	_, _, err := client.PackageURI(ctx, action)
	if _, ok := errors.AsType[*investigation.PostponedError](err); ok || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context canceled", err)
	}
}

func TestErrorsAreBoundedAndRedacted(t *testing.T) {
	for name, body := range map[string]string{
		"link":     `{"error":{"code":"X","message":"see ` + link + ` for more"}}`,
		"escaped":  `{"error":{"code":"X","message":"see https:\/\/h.example\/` + secret + `"}}`,
		"encoded":  `{"error":{"code":"X","message":"https%3A%2F%2Fh.example%2F` + secret + `"}}`,
		"sig":      `{"error":{"code":"X","message":"bad sig=` + secret + `&se=1"}}`,
		"token":    `{"error":{"code":"token=` + secret + `"}}`,
		"bearer":   `{"error":{"code":"X","target":"Bearer ` + secret + `"}}`,
		"jwt":      `{"error":{"message":"eyJhbGciOi` + secret + `.eyJh` + secret + `.x"}}`,
		"XML":      `<?xml version="1.0"?><Error><Code>A</Code><Message>sig=` + secret + `</Message></Error>`,
		"web page": `<html><a href="` + link + `">` + strings.Repeat("long ", 1e5) + `</a></html>`,
	} {
		t.Run(name, func(t *testing.T) {
			client := newClient(t, transports{linker: always(500, body)})
			_, _, err := client.PackageURI(t.Context(), action)
			checkNoSecret(t, err)
			if n := len(err.Error()); n > 3*mde.MessageBytesMax {
				t.Errorf("the error has %d bytes", n)
			}
		})
	}
}

func TestAnswersAreBounded(t *testing.T) {
	endless := tripper(func(*http.Request) (*http.Response, error) {
		resp := reply(200, "")
		resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"value":"`), repeat('a')))
		return resp, nil
	})
	client := newClient(t, transports{linker: endless})
	_, _, err := client.PackageURI(t.Context(), action)
	if err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("got %v, want an error that says it is too long", err)
	}
}

// repeat is an endless reader.
type repeat byte

func (r repeat) Read(p []byte) (int, error) {
	copy(p, bytes.Repeat([]byte{byte(r)}, len(p)))
	return len(p), nil
}
