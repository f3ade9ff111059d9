package mde_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/mde"
	"packhorse/internal/mde/mdesim"
)

// certificateOf returns the SHA-256 of the server's certificate, from a connection of the test's
// own.
func certificateOf(t *testing.T, host string) string {
	t.Helper()
	conn, err := tls.Dial("tcp", host, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	sum := sha256.Sum256(conn.ConnectionState().PeerCertificates[0].Raw)
	return hex.EncodeToString(sum[:])
}

// checkInstants fails unless both instants lie within the call and in order, and then clears them.
func checkInstants(t *testing.T, e *investigation.Exchange, before, after time.Time) {
	t.Helper()
	if e.AskedAt.Before(before.Round(0)) || e.AnsweredAt.Before(e.AskedAt) || e.AnsweredAt.After(after) {
		t.Errorf("asked at %v, answered at %v, want both within %v and %v", e.AskedAt, e.AnsweredAt, before, after)
	}
	e.AskedAt, e.AnsweredAt = time.Time{}, time.Time{}
}

func TestExchangesWithTheSimulator(t *testing.T) {
	for _, way := range []mdesim.Download{
		mdesim.DownloadPlain, mdesim.DownloadChunked, mdesim.DownloadCut, mdesim.DownloadRedirected,
	} {
		t.Run("way="+string(way), func(t *testing.T) {
			t.Parallel()
			sim, client := startSimulator(t, unlimited())
			a := simulated(1, 300_000)
			sim.Add(a)
			sim.SetFaults(mdesim.Faults{Downloads: map[string][]mdesim.Download{"": {way}}})

			before := time.Now()
			link, linkExchange, err := client.PackageURI(t.Context(), a.ID)
			if err != nil {
				t.Fatal(err)
			}
			checkInstants(t, &linkExchange, before, time.Now())
			apiHost := strings.TrimPrefix(sim.APIURL, "https://")
			want := investigation.Exchange{
				Host: apiHost, TLSVersion: "TLS 1.3", CertificateSHA256: certificateOf(t, apiHost),
				RequestID:     mdesim.RequestIDOf(mdesim.KindPackageURI, 1),
				CorrelationID: mdesim.CorrelationIDOf(mdesim.KindPackageURI, 1),
			}
			if linkExchange != want {
				t.Errorf("link: got  %+v\nwant %+v", linkExchange, want)
			}

			before = time.Now()
			pkg, err := client.Open(t.Context(), link)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = pkg.Body.Close() }()
			checkInstants(t, &pkg.Source, before, time.Now())
			answer := 1
			if way == mdesim.DownloadRedirected {
				answer = 2 // the bytes come with the second answer
			}
			want = investigation.Exchange{
				Host: sim.DownloadHost, TLSVersion: "TLS 1.3",
				CertificateSHA256: certificateOf(t, sim.DownloadHost),
				RequestID:         mdesim.RequestIDOf(mdesim.KindDownload, answer),
			}
			_, err = io.Copy(io.Discard, pkg.Body)
			if err != nil {
				t.Error(err)
			}
			if pkg.Source != want {
				t.Errorf("download: got  %+v\nwant %+v", pkg.Source, want)
			}
			checkShowsNothing(t, sim, linkExchange, pkg.Source)
			checkJudge(t, sim)
		})
	}
}

// checkShowsNothing fails if an exchange contains part of a link or token.
func checkShowsNothing(t *testing.T, sim *mdesim.Server, exchanges ...investigation.Exchange) {
	t.Helper()
	for _, e := range exchanges {
		text := strings.ToLower(fmt.Sprintf("%+v %#v", e, e))
		for _, secret := range append(sim.Links(), "safedownload", "token", "bearer", "eyj", "/", "?") {
			if strings.Contains(text, secret) {
				t.Errorf("the exchange shows %q: %s", secret, text)
			}
		}
	}
}

// slowAround stands for the budget and the credential: each does slow work of its own inside
// RoundTrip, with the same context.
type slowAround struct {
	base http.RoundTripper
	own  func(context.Context)
}

func (s slowAround) RoundTrip(req *http.Request) (*http.Response, error) {
	s.own(req.Context())
	resp, err := s.base.RoundTrip(req)
	s.own(context.WithoutCancel(req.Context()))
	return resp, err
}

// A link's exchange covers only the call itself. It excludes the lease before it and the settling
// after it, although both happen inside RoundTrip and may send their own requests.
func TestExchangeIsThatOfTheCallAlone(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(protocol, func(t *testing.T) { testExchangeOfTheCallAlone(t, protocol) })
	}
}

func testExchangeOfTheCallAlone(t *testing.T, protocol string) {
	const pause = 50 * time.Millisecond
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Proto != protocol {
			t.Errorf("the call used %s", r.Proto)
		}
		_, _ = io.WriteString(w, jsonOf(t, map[string]any{"value": link}))
	}))
	server.EnableHTTP2 = protocol == "HTTP/2.0"
	server.StartTLS()
	defer server.Close()
	counter := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer counter.Close()
	var leased, settled time.Time
	via := slowAround{server.Client().Transport, func(ctx context.Context) {
		time.Sleep(pause)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, counter.URL, nil)
		if err != nil {
			t.Error(err)
			return
		}
		if leased.IsZero() {
			leased = time.Now().Add(-pause)
		}
		resp, err := counter.Client().Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		_ = resp.Body.Close()
		settled = time.Now()
		time.Sleep(pause)
	}}
	base, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	client, err := mde.New(base, tenant, via, via, via, []string{".blob.core.windows.net"}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	_, exchange, err := client.PackageURI(t.Context(), action)
	if err != nil {
		t.Fatal(err)
	}
	if waited := exchange.AskedAt.Sub(leased); waited < 2*pause {
		t.Errorf("asked %v after the lease began, which takes %v", waited, 2*pause)
	}
	if left := settled.Sub(exchange.AnsweredAt); left < pause {
		t.Errorf("answered %v before it was settled, which takes %v", left, pause)
	}
}

// For a transport without trace events, the exchange falls back to the instants around the call.
func TestExchangeOfATransportWithoutTraceEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		base, err := url.Parse("https://API.security.microsoft.com")
		if err != nil {
			t.Fatal(err)
		}
		slow := tripper(func(*http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			return reply(200, jsonOf(t, map[string]any{"value": link})), nil
		})
		client, err := mde.New(base, tenant, slow, slow, slow, []string{".blob.core.windows.net"}, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		_, got, err := client.PackageURI(t.Context(), action)
		if err != nil {
			t.Fatal(err)
		}
		want := investigation.Exchange{
			AskedAt: begin.UTC().Round(0), AnsweredAt: begin.Add(time.Second).UTC().Round(0),
			Host: "api.security.microsoft.com",
		}
		if got != want {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	})
}

func TestExchangeNamesTheRequest(t *testing.T) {
	const id, other = "43f4cb08-8fac-4b65-9db1-745c2ae65f3a", "0d2b1c3e-5f60-4a7b-8c9d-0e1f2a3b4c00"
	for name, tt := range map[string]struct {
		header               []string
		request, correlation string
	}{
		"none":             {nil, "", ""},
		"Azure's":          {[]string{"x-ms-request-id", id, "x-ms-correlation-request-id", other}, id, other},
		"Graph's":          {[]string{"request-id", id, "client-request-id", other}, id, other},
		"anybody's":        {[]string{"x-request-id", id}, id, ""},
		"Partner Center's": {[]string{"ms-correlationid", other}, "", other},
		"the older":        {[]string{"x-ms-correlation-id", other}, "", other},
		"what we sent":     {[]string{"x-ms-client-request-id", other}, "", other},
		"the best of two":  {[]string{"x-request-id", other, "x-ms-request-id", id}, id, ""},
		"an empty one":     {[]string{"x-ms-request-id", " \t", "request-id", id}, id, ""},
		"control characters": {
			[]string{"x-ms-request-id", "a\r\nb\x00c\x1b[31md", "client-request-id", "é" + id + "\u202e"},
			"abc[31md", id,
		},
		"long": {
			[]string{"x-ms-request-id", strings.Repeat("r", 1e6)},
			strings.Repeat("r", mde.IDBytesMax), "",
		},
		"the link":          {[]string{"x-ms-request-id", link}, "[link redacted]", ""},
		"a signature":       {[]string{"x-ms-request-id", "sig=" + secret}, "sig=[redacted]", ""},
		"a torn signature":  {[]string{"x-ms-request-id", "si\x00g=" + secret}, "sig=[redacted]", ""},
		"a token":           {[]string{"client-request-id", "Bearer " + secret}, "", "[token redacted]"},
		"a JSON web token":  {[]string{"request-id", "eyJ" + secret + ".eyJ" + secret}, "[token redacted]", ""},
		"a link, far along": {[]string{"request-id", strings.Repeat("r", 120) + link}, strings.Repeat("r", 120) + "[link re", ""},
	} {
		t.Run(name, func(t *testing.T) {
			client := newClient(t, transports{
				linker:    always(200, jsonOf(t, map[string]any{"value": link}), tt.header...),
				downloads: always(200, "PK\x03\x04", tt.header...),
			})
			l, fromAPI, err := client.PackageURI(t.Context(), action)
			if err != nil {
				t.Fatal(err)
			}
			pkg, err := client.Open(t.Context(), l)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = pkg.Body.Close() }()
			for _, got := range []investigation.Exchange{fromAPI, pkg.Source} {
				if got.RequestID != tt.request || got.CorrelationID != tt.correlation {
					t.Errorf("got %q, %q, want %q, %q", got.RequestID, got.CorrelationID, tt.request, tt.correlation)
				}
				if text := fmt.Sprintf("%+v %#v", got, got); strings.Contains(text, secret) {
					t.Errorf("the exchange shows the link: %s", text)
				}
			}
		})
	}
}

// The exchange describes the response that returned the bytes: the last one.
func TestExchangeAfterRedirects(t *testing.T) {
	hops := 0
	pkg, err := open(t, tripper(func(req *http.Request) (*http.Response, error) {
		if hops++; hops <= 2 {
			return reply(302, "", "Location", fmt.Sprintf("https://Hop%d.blob.core.windows.net/%s", hops, secret),
				"x-ms-request-id", fmt.Sprint("hop ", hops)), nil
		}
		resp := reply(200, string(content(4)), "x-ms-request-id", "the last")
		resp.TLS = &tls.ConnectionState{Version: tls.VersionTLS12} // without a certificate
		return resp, nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := investigation.Exchange{
		AskedAt: noon, AnsweredAt: noon, Host: "hop2.blob.core.windows.net", TLSVersion: "TLS 1.2",
		RequestID: "the last",
	}
	if pkg.Source != want {
		t.Errorf("got  %+v\nwant %+v", pkg.Source, want)
	}
}

// A resumed download keeps the exchange of its first request.
func TestExchangeOfAResumedDownload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		whole := content(10_000)
		requests := 0
		pkg, err := open(t, tripper(func(req *http.Request) (*http.Response, error) {
			requests++
			header := []string{"ETag", `"1"`, "Accept-Ranges", "bytes", "x-ms-request-id", fmt.Sprint(requests)}
			if requests == 1 {
				resp := reply(200, string(whole[:6000]), header...)
				resp.ContentLength = int64(len(whole))
				return resp, nil
			}
			return reply(206, string(whole[6000:]), append(header, "Content-Range", "bytes 6000-9999/10000")...), nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(pkg.Body)
		if err != nil || !bytes.Equal(got, whole) || requests != 2 {
			t.Fatalf("got %d bytes in %d requests, %v", len(got), requests, err)
		}
		if pkg.Source.RequestID != "1" {
			t.Errorf("the exchange is that of request %s", pkg.Source.RequestID)
		}
	})
}

// A refused link returns a zero exchange, which cannot be mistaken for a real one.
func TestNoExchangeWithoutALink(t *testing.T) {
	for _, body := range []string{"", "{}", jsonOf(t, map[string]any{"value": "https://attacker.example/"})} {
		client := newClient(t, transports{linker: always(200, body, "request-id", "1")})
		_, got, err := client.PackageURI(t.Context(), action)
		if err == nil || got != (investigation.Exchange{}) {
			t.Errorf("got %+v, %v", got, err)
		}
	}
}
