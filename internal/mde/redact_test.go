package mde_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"packhorse/internal/investigation"
	"packhorse/internal/mde"
)

// opaque is part of a link and of a token that look like neither.
const opaque = "0paque-C4nary.of~both"

// repeated are the ways a server may repeat what it received.
var repeated = map[string]func(string) string{
	"as it is": func(s string) string { return s },
	"lower":    strings.ToLower,
	"encoded":  url.QueryEscape,
	"twice":    func(s string) string { return url.QueryEscape(url.QueryEscape(s)) },
	"JSON":     func(s string) string { text, _ := json.Marshal(s); return string(text) },
	"HTML":     html.EscapeString,
	"a header": func(s string) string { return "Bearer%20" + s },
}

func checkGone(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		t.Fatal("got no error")
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		if text := fmt.Sprintf("%v %+v %#v", e, e, e); strings.Contains(strings.ToLower(text),
			strings.ToLower(opaque)) {
			t.Errorf("the error shows the secret: %s", text)
		}
	}
}

// The transport adds the token, so it is known from the request that the response names.
func TestErrorsShowNoRepeatedToken(t *testing.T) {
	for name, repeat := range repeated {
		for _, body := range []string{`{"error":{"code":"X","message":"no use: %s"}}`, "%s", "<p>%s</p>"} {
			add := tripper(func(req *http.Request) (*http.Response, error) {
				sent := req.Clone(req.Context())
				sent.Header.Set("Authorization", "Bearer "+opaque)
				resp := reply(500, fmt.Sprintf(body, strings.Trim(repeat(opaque), `"`)))
				resp.Request = sent
				return resp, nil
			})
			client := newClient(t, transports{lister: add, linker: add})
			_, _, err := client.PackageURI(t.Context(), action)
			checkGone(t, err)
			_, err = client.Get(t.Context(), action)
			checkGone(t, err)
			if _, ok := errors.AsType[*mde.StatusError](err); !ok {
				t.Errorf("%s: got %v", name, err)
			}
		}
	}
}

// A download host may repeat the link, whole or in part.
func TestErrorsShowNoRepeatedLink(t *testing.T) {
	address := "https://store.blob.core.windows.net/c/" + opaque + "?sv=1&k=" + opaque + "%2Bx&q=it's" + opaque
	_, bare, _ := strings.Cut(address, "//")
	_, target, _ := strings.Cut(bare, ".net")
	_, query, _ := strings.Cut(address, "?")
	for _, part := range []string{address, bare, target, query} {
		for name, repeat := range repeated {
			says := "no use: " + repeat(part)
			for way, transport := range map[string]http.RoundTripper{
				"refused": always(403, says), "failed": always(500, `{"error":{"code":"`+url.QueryEscape(part)+`"}}`),
				"instead": always(200, "Expired token: "+says),
				"garbled": tripper(func(*http.Request) (*http.Response, error) {
					return nil, &net.OpError{Op: "dial", Err: errors.New("malformed HTTP response: " + says)}
				}),
				"broken off": tripper(func(*http.Request) (*http.Response, error) {
					resp := reply(200, "")
					resp.ContentLength = 100
					resp.Body = io.NopCloser(io.MultiReader(strings.NewReader("PK"), failing(says)))
					return resp, nil
				}),
			} {
				pkg, err := newClient(t, transports{downloads: transport}).Open(t.Context(),
					investigation.NewLink(address))
				if err == nil {
					_, err = io.Copy(io.Discard, pkg.Body)
				}
				checkGone(t, err)
				if _, postponed := errors.AsType[*investigation.PostponedError](err); postponed != (way == "garbled") {
					t.Errorf("%s, %s: postponed %t: %v", name, way, postponed, err)
				}
			}
		}
	}
}

// failing is a reader that fails with the given text.
type failing string

func (f failing) Read([]byte) (int, error) { return 0, errors.New(string(f)) }
