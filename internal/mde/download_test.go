package mde_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/mde"
)

// content makes a package that begins like a ZIP and in which no two parts are equal.
func content(size int) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	copy(b, "PK\x03\x04")
	return b
}

func open(t *testing.T, downloads http.RoundTripper) (investigation.Package, error) {
	t.Helper()
	client := newClient(t, transports{downloads: downloads})
	pkg, err := client.Open(t.Context(), investigation.NewLink(link))
	if err == nil {
		t.Cleanup(func() {
			for range 2 {
				if err := pkg.Body.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			}
		})
	}
	return pkg, err
}

func TestOpenReadsWhole(t *testing.T) {
	for _, size := range []int{4, 4095, 4096, 4097, 1 << 20} {
		for _, declared := range []bool{true, false} {
			t.Run(fmt.Sprintf("%d bytes, declared %t", size, declared), func(t *testing.T) {
				want := content(size)
				pkg, err := open(t, tripper(func(req *http.Request) (*http.Response, error) {
					resp := reply(200, string(want))
					if !declared {
						resp.ContentLength = -1
					}
					return resp, nil
				}))
				if err != nil {
					t.Fatal(err)
				}
				wantSize := int64(size)
				if !declared {
					wantSize = investigation.SizeUnknown
				}
				if pkg.Size != wantSize {
					t.Errorf("size %d, want %d", pkg.Size, wantSize)
				}
				if size > 1e5 {
					got, err := io.ReadAll(pkg.Body)
					if err != nil || !bytes.Equal(got, want) {
						t.Errorf("got %d bytes, %v", len(got), err)
					}
					return
				}
				if err := iotest.TestReader(pkg.Body, want); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func TestOpenSendsNothingButTheLink(t *testing.T) {
	var got *http.Request
	_, err := open(t, tripper(func(req *http.Request) (*http.Response, error) {
		got = req
		return reply(200, "PK\x03\x04"), nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	if got.Method != http.MethodGet || got.URL.String() != link {
		t.Errorf("got %s %s", got.Method, got.URL)
	}
	want := http.Header{"Accept-Encoding": {"identity"}, "User-Agent": {"packhorse"}}
	if fmt.Sprint(got.Header) != fmt.Sprint(want) {
		t.Errorf("header %v, want %v", got.Header, want)
	}
}

func TestOpenRefusesLinks(t *testing.T) {
	client := newClient(t, transports{})
	for _, address := range []string{
		"", strings.Replace(link, "https", "http", 1), "https://attacker.example/" + secret,
		"file:///" + secret, "https://[" + secret, "https://" + secret + "@a.blob.core.windows.net/",
	} {
		_, err := client.Open(t.Context(), investigation.NewLink(address))
		checkNoSecret(t, err)
	}
}

func TestRefusalsOfTheDownloadHost(t *testing.T) {
	const azure = "\uFEFF<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>AuthenticationFailed</Code>" +
		"<Message>Server failed to authenticate the request.</Message><AuthenticationErrorDetail>" +
		"Signature not valid in the specified time frame: Start [" + link + "]" +
		"</AuthenticationErrorDetail></Error>"
	for name, tt := range map[string]struct {
		resp    func() *http.Response
		expired bool
		says    string
	}{
		"azure":           {func() *http.Response { return reply(403, azure) }, true, "specified time frame"},
		"azure, as 200":   {func() *http.Response { return reply(200, azure) }, true, ""},
		"unauthorized":    {func() *http.Response { return reply(401, `{"message":"Expired token"}`) }, true, ""},
		"not found":       {func() *http.Response { return reply(404, "") }, true, "404"},
		"gone":            {func() *http.Response { return reply(410, "") }, true, "410"},
		"400, in words":   {func() *http.Response { return reply(400, `{"error":{"message":"Expired token"}}`) }, true, ""},
		"200, in words":   {func() *http.Response { return reply(200, `{"message":"expired Token"}`) }, true, ""},
		"500, in words":   {func() *http.Response { return reply(500, "Expired token") }, true, ""},
		"nothing":         {func() *http.Response { return reply(200, "") }, true, "empty"},
		"nothing, 204":    {func() *http.Response { return reply(204, "") }, true, "empty"},
		"their fault":     {func() *http.Response { return reply(500, "oops sig="+secret) }, false, "500"},
		"bad request":     {func() *http.Response { return reply(400, "") }, false, "400"},
		"a part":          {func() *http.Response { return reply(206, "PK\x03\x04") }, false, "part"},
		"packed":          {func() *http.Response { return reply(200, "PK", "Content-Encoding", "gzip") }, false, "encoding"},
		"just a redirect": {func() *http.Response { return reply(302, "") }, false, "302"},
		"nothing, undeclared": {func() *http.Response {
			resp := reply(200, "")
			resp.ContentLength = -1
			return resp
		}, true, "empty"},
		"huge": {func() *http.Response {
			resp := reply(200, "PK")
			resp.ContentLength = mde.PackageBytesMax + 1
			return resp
		}, false, "more than"},
		"unpacked on the way": {func() *http.Response {
			resp := reply(200, "PK")
			resp.Uncompressed = true
			return resp
		}, false, "encoding"},
		"broken off at once": {func() *http.Response {
			resp := reply(200, "")
			resp.ContentLength = 100
			return resp
		}, false, "unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			closed := false
			_, err := open(t, tripper(func(*http.Request) (*http.Response, error) {
				resp := tt.resp()
				resp.Body = closing{resp.Body, &closed}
				return resp, nil
			}))
			checkNoSecret(t, err)
			if got := errors.Is(err, investigation.ErrLinkExpired); got != tt.expired {
				t.Errorf("expired: %t, want %t: %v", got, tt.expired, err)
			}
			if !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want it to say %q", err, tt.says)
			}
			if !closed {
				t.Error("the response was not closed")
			}
		})
	}
}

type closing struct {
	io.ReadCloser
	closed *bool
}

func (c closing) Close() error {
	*c.closed = true
	return c.ReadCloser.Close()
}

// The archive, which sees the whole body, decides whether it is a ZIP.
func TestOpenHandsOnWhatIsNoPackage(t *testing.T) {
	for _, body := range []string{"P", "<html>Sign in to the proxy</html>", "{}", strings.Repeat("a", 9000)} {
		pkg, err := open(t, always(200, body))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(pkg.Body)
		if err != nil || string(got) != body {
			t.Errorf("got %d bytes, %v, want %d", len(got), err, len(body))
		}
	}
}

func TestOpenIsThrottled(t *testing.T) {
	_, err := open(t, always(429, "", "Retry-After", "120"))
	checkPostponed(t, err, noon.Add(2*time.Minute))
}

func TestRedirects(t *testing.T) {
	const near = "https://other.blob.core.windows.net/" + secret + "/"
	for name, tt := range map[string]struct {
		location  func(n int) string
		requests  int
		ok        bool
		postponed bool
	}{
		"to a listed host":   {func(n int) string { return once(n, near) }, 2, true, false},
		"relative":           {func(n int) string { return once(n, "/"+secret) }, 2, true, false},
		"as often as may be": {func(n int) string { return upTo(mde.RedirectsMax, n, near) }, 6, true, false},
		"too often":          {func(int) string { return near }, 6, false, false},
		"off the list":       {func(int) string { return "https://attacker.example/" + secret }, 1, false, true},
		"to clear text":      {func(int) string { return strings.Replace(near, "https", "http", 1) }, 1, false, false},
		"to a file":          {func(int) string { return "file:///" + secret }, 1, false, false},
		"to nowhere":         {func(int) string { return "https://[" + secret }, 1, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			requests := 0
			pkg, err := open(t, tripper(func(req *http.Request) (*http.Response, error) {
				requests++
				for _, name := range []string{"Referer", "Authorization", "Cookie"} {
					if req.Header.Get(name) != "" {
						t.Errorf("the redirected request has a %s: %s", name, req.Header.Get(name))
					}
				}
				if location := tt.location(requests); location != "" {
					return reply(302, "moved", "Location", location, "Set-Cookie", "a=b"), nil
				}
				return reply(200, "PK\x03\x04"), nil
			}))
			if requests != tt.requests {
				t.Errorf("%d requests, want %d", requests, tt.requests)
			}
			if !tt.ok {
				checkNoSecret(t, err)
				if _, got := errors.AsType[*investigation.PostponedError](err); got != tt.postponed {
					t.Errorf("postponed: %t, want %t: %v", got, tt.postponed, err)
				}
				return
			}
			if err != nil || pkg.Size != 4 {
				t.Errorf("got %v, %v", pkg, err)
			}
		})
	}
}

func once(n int, location string) string { return upTo(1, n, location) }

func upTo(times, n int, location string) string {
	if n > times {
		return ""
	}
	return location
}

// host serves a package and breaks off as its fields say.
type host struct {
	t        *testing.T
	content  []byte
	breaks   []int // bytes before each response breaks off; the last one is complete
	err      error // the error at the break; nil ends it cleanly
	etag     string
	noRanges bool
	unsized  bool
	change   func(n int, resp *http.Response) // alters the nth response (from 0)
	ranges   []string
}

func (h *host) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	n := len(h.ranges)
	h.ranges = append(h.ranges, req.Header.Get("Range"))
	first, status := 0, 200
	resp := reply(status, "", "ETag", h.etag)
	if !h.noRanges {
		resp.Header.Set("Accept-Ranges", "bytes")
	}
	if r := req.Header.Get("Range"); r != "" {
		if _, err := fmt.Sscanf(r, "bytes=%d-", &first); err != nil {
			h.t.Errorf("range %q", r)
		}
		if got := req.Header.Get("If-Range"); got != h.etag {
			h.t.Errorf("If-Range %q, want %q", got, h.etag)
		}
		resp.StatusCode = 206
		resp.Header.Set("Content-Range",
			fmt.Sprintf("bytes %d-%d/%d", first, len(h.content)-1, len(h.content)))
	}
	rest := h.content[first:]
	resp.ContentLength = int64(len(rest))
	if h.unsized {
		resp.ContentLength = -1
	}
	body := io.Reader(bytes.NewReader(rest))
	if n < len(h.breaks) {
		body = bytes.NewReader(rest[:h.breaks[n]])
		if h.err != nil {
			body = io.MultiReader(body, iotest.ErrReader(h.err))
		}
	}
	resp.Body = io.NopCloser(body)
	if h.change != nil {
		h.change(n, resp)
	}
	return resp, nil
}

var errReset = errors.New("connection reset")

func TestDownloadsAreResumed(t *testing.T) {
	want := content(10_000)
	for name, h := range map[string]*host{
		"never broken":          {},
		"reset":                 {breaks: []int{5000}, err: errReset},
		"ended early":           {breaks: []int{5000}},
		"wrapped in a URL":      {breaks: []int{5000}, err: &url.Error{Op: "Get", URL: link, Err: errReset}},
		"reset within the head": {breaks: []int{1}, err: errReset},
		"as often as may be":    {breaks: []int{3000, 1, 6000}, err: errReset},
		"broken after the end":  {breaks: []int{10_000}, err: errReset},
		"a resume that fails":   {breaks: []int{5000, 0}, err: errReset},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h.t, h.content, h.etag = t, want, `"v1"`
				pkg, err := open(t, h)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(pkg.Body)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("got %d bytes, %v, want %d; ranges %q", len(got), err, len(want), h.ranges)
				}
			})
		})
	}
}

func TestDownloadsAreNotResumedOnTrust(t *testing.T) {
	set := func(name, value string) func(int, *http.Response) {
		return func(n int, resp *http.Response) {
			if n > 0 {
				resp.Header.Set(name, value)
			}
		}
	}
	status := func(code int) func(int, *http.Response) {
		return func(n int, resp *http.Response) {
			if n > 0 {
				resp.StatusCode = code
			}
		}
	}
	for name, tt := range map[string]struct {
		host     host
		requests int
		expired  bool
	}{
		"weak ETag":       {host{etag: `W/"v1"`}, 1, false},
		"no ETag":         {host{etag: ""}, 1, false},
		"no ranges":       {host{etag: `"v1"`, noRanges: true}, 1, false},
		"unknown length":  {host{etag: `"v1"`, unsized: true}, 1, false},
		"changed":         {host{etag: `"v1"`, change: set("ETag", `"v2"`)}, 2, false},
		"whole again":     {host{etag: `"v1"`, change: status(200)}, 2, false},
		"another range":   {host{etag: `"v1"`, change: set("Content-Range", "bytes 0-9999/10000")}, 2, false},
		"another total":   {host{etag: `"v1"`, change: set("Content-Range", "bytes 5000-9999/10001")}, 2, false},
		"unknown total":   {host{etag: `"v1"`, change: set("Content-Range", "bytes 5000-9999/*")}, 2, false},
		"packed":          {host{etag: `"v1"`, change: set("Content-Encoding", "gzip")}, 2, false},
		"expired":         {host{etag: `"v1"`, change: status(403)}, 2, true},
		"their fault":     {host{etag: `"v1"`, change: status(503)}, 1 + mde.ResumesMax, false},
		"redirected away": {host{etag: `"v1"`, change: func(n int, resp *http.Response) { redirect(n, resp) }}, 1 + mde.ResumesMax, false},
		"too often":       {host{etag: `"v1"`, breaks: []int{5000, 1, 1, 1, 1}}, 1 + mde.ResumesMax, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := tt.host
				h.t, h.content, h.err = t, content(10_000), errReset
				if h.breaks == nil {
					h.breaks = []int{5000}
				}
				pkg, err := open(t, &h)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(pkg.Body)
				checkNoSecret(t, err)
				if !errors.Is(err, errReset) || !bytes.HasPrefix(h.content, got) || len(got) < 5000 {
					t.Errorf("got %d bytes, %v, want the bytes received and the reason they ended", len(got), err)
				}
				if errors.Is(err, investigation.ErrLinkExpired) != tt.expired {
					t.Errorf("expired: want %t: %v", tt.expired, err)
				}
				if len(h.ranges) != tt.requests {
					t.Errorf("%d requests, want %d", len(h.ranges), tt.requests)
				}
				_, again := pkg.Body.Read(make([]byte, 1))
				if fmt.Sprint(again) != fmt.Sprint(err) {
					t.Errorf("the next Read returned %v, want the same error again: %v", again, err)
				}
			})
		})
	}
}

func redirect(n int, resp *http.Response) {
	if n > 0 {
		resp.StatusCode = 302
		resp.Header.Set("Location", "https://attacker.example/"+secret)
	}
}

func TestLengthsAreChecked(t *testing.T) {
	t.Run("short", func(t *testing.T) {
		pkg, err := open(t, &host{t: t, content: content(10_000), breaks: []int{9_999}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(pkg.Body)
		if len(got) != 9_999 || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got %d bytes, %v", len(got), err)
		}
	})
	t.Run("long", func(t *testing.T) {
		pkg, err := open(t, &host{t: t, content: content(10_000),
			change: func(_ int, resp *http.Response) { resp.ContentLength = 9_999 }})
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.ReadAll(pkg.Body)
		if err == nil || !strings.Contains(err.Error(), "longer") {
			t.Errorf("got %v, want an error", err)
		}
	})
}

// blocked is a body that returns its bytes and then nothing until its request is canceled.
type blocked struct {
	io.Reader
	ctx context.Context
}

func (b blocked) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		<-b.ctx.Done()
		err = b.ctx.Err()
	}
	return n, err
}

func (blocked) Close() error { return nil }

func TestStalledDownloadsEnd(t *testing.T) {
	for name, tt := range map[string]struct {
		downloads tripper
		opens     bool
		after     time.Duration
	}{
		"no answer": {func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		}, false, mde.StallTimeout},
		"no first byte": {func(req *http.Request) (*http.Response, error) {
			resp := reply(200, "")
			resp.ContentLength, resp.Body = 100, blocked{strings.NewReader(""), req.Context()}
			return resp, nil
		}, false, mde.StallTimeout},
		"no error message": {func(req *http.Request) (*http.Response, error) {
			resp := reply(500, "")
			resp.ContentLength, resp.Body = 100, blocked{strings.NewReader(""), req.Context()}
			return resp, nil
		}, false, mde.StallTimeout},
		"in the middle": {func(req *http.Request) (*http.Response, error) {
			resp := reply(200, "")
			resp.ContentLength, resp.Body = 100, blocked{strings.NewReader("PK\x03\x04"), req.Context()}
			return resp, nil
		}, true, mde.StallTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				pkg, err := open(t, tt.downloads)
				if (err == nil) != tt.opens {
					t.Fatalf("got %v, opens: want %t", err, tt.opens)
				}
				if err == nil {
					_, err = io.ReadAll(pkg.Body)
				}
				if err == nil || errors.Is(err, context.Canceled) {
					t.Errorf("got %v, want an error other than our own cancellation", err)
				}
				if took := time.Since(begin); took != tt.after {
					t.Errorf("took %v, want %v", took, tt.after)
				}
			})
		})
	}
}

// Only the host's silence counts as a stall: slow bytes are progress, and a slow reader is not the
// host's fault.
func TestSlowDownloadsGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		want := content(100)
		pkg, err := open(t, tripper(func(req *http.Request) (*http.Response, error) {
			pace := mde.StallTimeout - time.Second
			time.Sleep(pace)
			resp := reply(200, "")
			resp.ContentLength = int64(len(want))
			resp.Body = io.NopCloser(&paced{want, pace, req.Context()})
			return resp, nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 0, len(want))
		for {
			time.Sleep(10 * mde.StallTimeout)
			p := make([]byte, 10)
			n, err := pkg.Body.Read(p)
			got = append(got, p[:n]...)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got, want) {
			t.Errorf("got %d bytes, want %d", len(got), len(want))
		}
	})
}

// paced returns ten bytes at a time.
type paced struct {
	rest []byte
	pace time.Duration
	ctx  context.Context
}

func (p *paced) Read(b []byte) (int, error) {
	time.Sleep(p.pace)
	if err := p.ctx.Err(); err != nil {
		return 0, err
	}
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(10, len(b))], p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

func TestACancelledDownloadEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errStop := errors.New("asked to stop")
		ctx, cancel := context.WithCancelCause(t.Context())
		requests := 0
		client := newClient(t, transports{downloads: tripper(func(req *http.Request) (*http.Response, error) {
			requests++
			resp := reply(200, "", "ETag", `"v1"`, "Accept-Ranges", "bytes")
			resp.ContentLength, resp.Body = 100, blocked{strings.NewReader("PK\x03\x04"), req.Context()}
			return resp, nil
		})})
		pkg, err := client.Open(ctx, investigation.NewLink(link))
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, func() { cancel(errStop) })
		begin := time.Now()
		_, err = io.ReadAll(pkg.Body)
		if !errors.Is(err, errStop) || time.Since(begin) != time.Second || requests != 1 {
			t.Errorf("got %v after %v and %d requests", err, time.Since(begin), requests)
		}
		if err := pkg.Body.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestClosingEndsAReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pkg, err := open(t, tripper(func(req *http.Request) (*http.Response, error) {
			resp := reply(200, "", "ETag", `"v1"`, "Accept-Ranges", "bytes")
			resp.ContentLength, resp.Body = 100, blocked{strings.NewReader("PK\x03\x04"), req.Context()}
			return resp, nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			time.Sleep(time.Second)
			_ = pkg.Body.Close()
		}()
		_, err = io.ReadAll(pkg.Body)
		if err == nil {
			t.Error("reading a closed download did not fail")
		}
		_, err = pkg.Body.Read(make([]byte, 1))
		if err == nil || errors.Is(err, io.EOF) {
			t.Errorf("reading a closed download: %v", err)
		}
	})
}

// The real transport: lengths, broken connections, and the headers it adds.
func TestDownloadOverTLS(t *testing.T) {
	want := content(3 << 20)
	requests := 0
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests++
		if r.Header.Get("Accept-Encoding") != "identity" || r.Header.Get("Authorization") != "" {
			t.Errorf("header %v", r.Header)
		}
		w.Header().Set("ETag", `"v1"`)
		if r.Header.Get("Range") == "" {
			w.Header().Set("Content-Length", fmt.Sprint(len(want)))
			w.Header().Set("Accept-Ranges", "bytes")
			_, _ = w.Write(want[:1<<20])
			panic(http.ErrAbortHandler)
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(want))
	}))
	server.Config.ErrorLog = nil
	t.Cleanup(server.Close)
	address, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	client, err := mde.New(address, tenant, forbidden(t), forbidden(t), server.Client().Transport,
		[]string{address.Host}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	pkg, err := client.Open(t.Context(), investigation.NewLink(server.URL+"/"+secret))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(pkg.Body)
	if err != nil || !bytes.Equal(got, want) || pkg.Size != int64(len(want)) {
		t.Errorf("got %d bytes of %d, %v", len(got), pkg.Size, err)
	}
	if requests != 2 {
		t.Errorf("%d requests, want 2", requests)
	}
	if err := pkg.Body.Close(); err != nil {
		t.Error(err)
	}
	server.Close()
	_, err = client.Open(t.Context(), investigation.NewLink(server.URL+"/"+secret))
	checkNoSecret(t, err)
}
