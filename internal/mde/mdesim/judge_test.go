package mdesim_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"packhorse/internal/mde/mdesim"
)

// tenant is a simulator without a network, on a clock that the test moves.
type tenant struct {
	*mdesim.Simulator
	now   time.Time
	token string
}

// newTenant returns a signed-in tenant with one action that is ready and one that never will be.
func newTenant(t *testing.T) *tenant {
	t.Helper()
	config := mdesim.Defaults()
	config.APIOrigin, config.DownloadOrigin = "https://api.example", "https://download.example"
	s := &tenant{now: time.Date(2026, time.November, 24, 9, 0, 0, 0, time.UTC)}
	s.Simulator = mdesim.New(config, func() time.Time { return s.now })
	s.Add(s.action("ready", mdesim.Succeeding(time.Minute)))
	s.Add(s.action("waiting", mdesim.Succeeding(24*time.Hour)))
	s.signIn(t)
	return s
}

// signIn gets a new token.
func (s *tenant) signIn(t *testing.T) {
	t.Helper()
	config := mdesim.Defaults()
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {config.ClientID},
		"client_secret": {config.ClientSecret},
		"scope":         {"https://api.securitycenter.microsoft.com/.default"},
	}
	req := httptest.NewRequest(http.MethodPost,
		"https://api.example/"+config.TenantID+"/oauth2/v2.0/token", strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	decode(t, serve(s.API(), req), &answer)
	if s.token = answer.AccessToken; s.token == "" {
		t.Fatal("got no token")
	}
}

func (s *tenant) action(name string, steps []mdesim.Step) mdesim.Action {
	return mdesim.Action{
		ID: mdesim.IDOf(name), MachineID: mdesim.MachineOf(name), CreatedAt: s.now.Add(-time.Hour),
		Steps: steps, PackageSize: 300_000, PackageSeed: 1,
	}
}

func serve(handler http.Handler, req *http.Request) *http.Response {
	rec := httptest.NewRecorder()
	handler.ServeHTTP(rec, req)
	return rec.Result()
}

func decode(t *testing.T, resp *http.Response, into any) {
	t.Helper()
	defer func() { _ = resp.Body.Close() }()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		t.Fatalf("status %d: %v", resp.StatusCode, err)
	}
}

// get calls the API with the token.
func (s *tenant) get(path string) *http.Response {
	req := httptest.NewRequest(http.MethodGet, "https://api.example"+path, nil)
	req.Header.Set("Authorization", "Bearer "+s.token)
	return serve(s.API(), req)
}

func (s *tenant) askLink(name string) *http.Response {
	return s.get("/api/machineactions/" + mdesim.IDOf(name) + "/getPackageUri")
}

// link requests a link and returns it.
func (s *tenant) link(t *testing.T) string {
	t.Helper()
	var answer struct{ Value string }
	decode(t, s.askLink("ready"), &answer)
	return strings.Trim(answer.Value, `"`)
}

func (s *tenant) download(link string, header http.Header) *http.Response {
	req := httptest.NewRequest(http.MethodGet, link, nil)
	req.Header = header
	return serve(s.Downloads(), req)
}

func identity() http.Header { return http.Header{"Accept-Encoding": {"identity"}} }

// Both limits apply to sliding windows and to windows aligned to the clock, and a refused call does
// not count.
func TestLimitOfLinks(t *testing.T) {
	s := newTenant(t)
	s.now = s.now.Add(50 * time.Second) // 10 s before the next aligned minute
	for i, step := range []struct {
		wait time.Duration
		want int
	}{
		{0, 200}, {time.Second, 200}, {time.Second, 429},
		{20 * time.Second, 429}, // another aligned minute, the same sliding one
		{38 * time.Second, 200}, // 60 s after the first
		{0, 429},
		{time.Second, 200},
		{0, 429},
	} {
		s.now = s.now.Add(step.wait)
		resp := s.askLink("ready")
		if resp.StatusCode != step.want {
			t.Errorf("call %d: got %d, want %d", i+1, resp.StatusCode, step.want)
		}
		if resp.StatusCode == 429 && resp.Header.Get("Retry-After") == "" {
			t.Errorf("call %d: a 429 without Retry-After", i+1)
		}
	}
	if v := s.Judge().Verdict(); v.Throttled != 4 {
		t.Errorf("the judge says %+v", v)
	}
}

// The judge reports what a careless client does.
func TestJudgeNames(t *testing.T) {
	for name, test := range map[string]struct {
		do    func(*testing.T, *tenant)
		rules bool
		leaks int
		most  int
	}{
		"nothing": {do: func(*testing.T, *tenant) {}},
		"good": {most: 1, do: func(t *testing.T, s *tenant) {
			_, _ = io.Copy(io.Discard, s.download(s.link(t), identity()).Body)
		}},
		"three calls in a minute": {most: 3, do: func(_ *testing.T, s *tenant) {
			for range 3 {
				s.askLink("ready")
				s.now = s.now.Add(20 * time.Second)
			}
		}},
		"a token at the download host": {most: 1, leaks: 1, do: func(t *testing.T, s *tenant) {
			header := identity()
			header.Set("Authorization", "Bearer "+s.token)
			s.download(s.link(t), header)
		}, rules: true},
		"a cookie at the download host": {most: 1, leaks: 1, do: func(t *testing.T, s *tenant) {
			header := identity()
			header.Set("Cookie", "a=b")
			s.download(s.link(t), header)
		}, rules: true},
		"a compressed download": {most: 1, do: func(t *testing.T, s *tenant) {
			s.download(s.link(t), http.Header{"Accept-Encoding": {"gzip"}})
		}, rules: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTenant(t)
			test.do(t, s)
			v := s.Judge().Verdict()
			if (len(v.BrokenRules) > 0) != test.rules || v.Leaks != test.leaks ||
				v.MostInAnyMinute != test.most {
				t.Errorf("the judge says %+v", v)
			}
		})
	}
}

// A call for a package that is not ready gets 404, and counts.
func TestNotReady(t *testing.T) {
	s := newTenant(t)
	if got := s.askLink("waiting").StatusCode; got != http.StatusNotFound {
		t.Errorf("got %d", got)
	}
	s.askLink("waiting")
	if got := s.askLink("ready").StatusCode; got != http.StatusTooManyRequests {
		t.Errorf("after two 404s: got %d, want 429", got)
	}
}

func TestNoToken(t *testing.T) {
	s := newTenant(t)
	s.token = "another"
	if got := s.get("/api/machineactions").StatusCode; got != http.StatusUnauthorized {
		t.Errorf("got %d", got)
	}
}

// A link expires after its lifetime, with the chosen symptom.
func TestLinkExpires(t *testing.T) {
	for way, status := range map[mdesim.Download]int{
		"": 403, mdesim.DownloadExpiredXML: 403, mdesim.DownloadNothing: 200,
	} {
		s := newTenant(t)
		s.SetFaults(mdesim.Faults{ExpirySymptom: way})
		link := s.link(t)
		s.now = s.now.Add(mdesim.Defaults().LinkLifetime)
		resp := s.download(link, identity())
		body, err := io.ReadAll(resp.Body)
		if way == "" && resp.StatusCode < 400 || way != "" && resp.StatusCode != status || err != nil ||
			bytes.HasPrefix(body, []byte("PK")) {
			t.Errorf("%q: got %d with %d bytes, %v", way, resp.StatusCode, len(body), err)
		}
	}
}

// A seed determines its package: the same bytes each time, the announced size and digest, and a ZIP
// with the folders of a real package.
func TestPackage(t *testing.T) {
	s := newTenant(t)
	size, sum := s.Package(mdesim.IDOf("ready"))
	link := s.link(t)
	for range 2 {
		body, err := io.ReadAll(s.download(link, identity()).Body)
		if err != nil {
			t.Fatal(err)
		}
		digest := sha256.Sum256(body)
		if int64(len(body)) != size || hex.EncodeToString(digest[:]) != sum {
			t.Errorf("got %d bytes, want %d with SHA-256 %s", len(body), size, sum)
		}
		file, err := zip.NewReader(bytes.NewReader(body), int64(len(body)))
		if err != nil || len(file.File) < 3 {
			t.Fatalf("not a ZIP: %v", err)
		}
		for _, entry := range file.File {
			r, err := entry.Open()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, r); err != nil { // checks the entry's CRC-32
				t.Errorf("%s: %v", entry.Name, err)
			}
		}
	}
}

// An offline host answers days later; a list shows each action's current status.
func TestLifeCycles(t *testing.T) {
	s := newTenant(t)
	for name, steps := range map[string][]mdesim.Step{
		"failed": mdesim.Ending(time.Hour, "Failed"), "timeout": mdesim.Ending(time.Hour, "TimeOut"),
		"cancelled": mdesim.Ending(time.Hour, "Cancelled"), "offline": mdesim.Succeeding(96 * time.Hour),
	} {
		s.Add(s.action(name, steps))
	}
	s.checkStatuses(t, map[string]string{
		"ready": "Succeeded", "failed": "Failed", "timeout": "TimeOut", "cancelled": "Cancelled",
		"offline": "Pending",
	})
	s.now = s.now.Add(95 * time.Hour)
	s.signIn(t)
	s.checkStatuses(t, map[string]string{"offline": "Succeeded", "failed": "Failed"})
}

// checkStatuses compares what the list shows.
func (s *tenant) checkStatuses(t *testing.T, want map[string]string) {
	t.Helper()
	var page struct {
		Value []struct{ ID, Status string }
	}
	decode(t, s.get("/api/machineactions"), &page)
	got := map[string]string{}
	for _, row := range page.Value {
		got[row.ID] = row.Status
	}
	for name, status := range want {
		if got[mdesim.IDOf(name)] != status {
			t.Errorf("%s is %q, want %q", name, got[mdesim.IDOf(name)], status)
		}
	}
}

// Every response has a request id, including refusals; the nth response of a kind always has the
// same one.
func TestRequestIDs(t *testing.T) {
	s := newTenant(t)
	link := s.link(t)
	for n, want := range []int{2, 3} {
		resp := s.askLink("ready") // the third exceeds the limit
		if resp.Header.Get("x-ms-request-id") != mdesim.RequestIDOf(mdesim.KindPackageURI, want) ||
			resp.Header.Get("x-ms-correlation-request-id") != mdesim.CorrelationIDOf(mdesim.KindPackageURI, want) {
			t.Errorf("call %d: the headers are %v", n+2, resp.Header)
		}
	}
	resp := s.download(link, identity())
	if resp.Header.Get("x-ms-request-id") != mdesim.RequestIDOf(mdesim.KindDownload, 1) ||
		resp.Header.Get("x-ms-correlation-request-id") != "" {
		t.Errorf("download: the headers are %v", resp.Header)
	}
}
