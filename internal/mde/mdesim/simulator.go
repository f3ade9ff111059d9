// Package mdesim is a simulator of Microsoft Defender for Endpoint, as far as investigation packages
// go: strict enough that a client which passes here passes there.
//
// It is a pair of HTTP handlers, because the real service is one: [Simulator.API] has the machine
// actions and the token endpoint, [Simulator.Downloads] the host that links lead to. Time is an
// argument, so that tests can turn it; [Start] serves both on loopback with certificates of its own.
// Its [Judge] records every call and every rule that was broken.
//
// What is simulated, and how, follows Microsoft's documentation and public traces of the service.
// Where those leave a choice (a quoted link or a plain one, a nextLink or none), it is a switch in
// [Faults].
package mdesim

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Limits are the calls an API allows in any minute and any hour, sliding or aligned to the clock.
type Limits struct {
	PerMinute int
	PerHour   int
}

// Config is a simulated tenant and its application.
type Config struct {
	TenantID     string
	ClientID     string
	ClientSecret string
	Roles        []string // the application permissions that were granted

	APIOrigin      string // scheme, host and port by which clients know the API
	DownloadOrigin string // the same of the download host

	PackageURILimits Limits
	ListLimits       Limits // of every other call, each kind for itself
	LinkLifetime     time.Duration
}

// Defaults returns the documented limits, for the tenant and application of the documentation's
// samples. Origins are left to whoever serves.
func Defaults() Config {
	return Config{
		TenantID:         "7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11",
		ClientID:         "2b7e1516-28ae-4d2a-abf7-158809cf4f3c",
		ClientSecret:     "simulated~Secret.Value-0123456789",
		Roles:            []string{"Machine.Read.All", "Machine.CollectForensics"},
		PackageURILimits: Limits{PerMinute: 2, PerHour: 120},
		ListLimits:       Limits{PerMinute: 100, PerHour: 1500},
		LinkLifetime:     5 * time.Minute,
	}
}

// Simulator is one tenant. It is safe for concurrent use.
type Simulator struct {
	config Config
	now    func() time.Time
	judge  *Judge

	mu      sync.Mutex // guards what follows
	actions []*action  // in the order they were added
	tokens  map[string]token
	links   map[string]link
	faults  Faults
	serial  int // of links and tokens
	answers map[Kind]int
}

// New returns a tenant without actions.
func New(config Config, now func() time.Time) *Simulator {
	return &Simulator{
		config: config, now: now, judge: newJudge(config),
		tokens: map[string]token{}, links: map[string]link{}, answers: map[Kind]int{},
	}
}

// Judge returns the judge of this tenant.
func (s *Simulator) Judge() *Judge { return s.judge }

// SetFaults replaces all fault switches.
func (s *Simulator) SetFaults(f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = f
}

// API returns the handler of the API, of the token endpoint, and of the simulator's own controls
// under /_sim/.
func (s *Simulator) API() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{tenant}/oauth2/v2.0/token", s.serveToken)
	mux.HandleFunc("GET /{tenant}/v2.0/.well-known/openid-configuration", s.serveDiscovery)
	for _, root := range []string{"/api", "/api/v1.0"} {
		mux.HandleFunc("GET "+root+"/machineactions", s.api(KindList, s.serveList))
		mux.HandleFunc("GET "+root+"/machineactions/{id}", s.api(KindGet, s.serveAction))
		mux.HandleFunc("GET "+root+"/machineactions/{id}/getPackageUri",
			s.api(KindPackageURI, s.servePackageURI))
		mux.HandleFunc("GET "+root+"/machineactions/{id}/GetPackageUri",
			s.api(KindPackageURI, s.servePackageURI))
		mux.HandleFunc("POST "+root+"/machineactions/{id}/cancel", s.api(KindCancel, s.serveCancel))
		mux.HandleFunc("POST "+root+"/machines/{id}/collectInvestigationPackage",
			s.api(KindCollect, s.serveCollect))
	}
	mux.HandleFunc("GET /_sim/verdict", s.serveVerdict)
	mux.HandleFunc("PUT /_sim/faults", s.serveFaults)
	mux.HandleFunc("POST /_sim/actions", s.serveAdd)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.judge.broke("%s %s is no resource of the API", r.Method, r.URL.Path)
		refuse(w, http.StatusNotFound, "NotFound",
			"No HTTP resource was found that matches the request URI '"+r.URL.Path+"'.")
	})
	return mux
}

// roles that each kind of call needs one of. Source: the permission tables of the documentation,
// old and new.
var roles = map[Kind][]string{
	KindList:       {"Machine.Read.All", "Machine.ReadWrite.All"},
	KindGet:        {"Machine.Read.All", "Machine.ReadWrite.All"},
	KindPackageURI: {"Machine.Read.All", "Machine.ReadWrite.All", "Machine.CollectForensics"},
	KindCollect:    {"Machine.CollectForensics"},
	KindCancel:     {"Machine.CollectForensics"},
}

// api wraps a resource: who calls, with which token, and whether the limit of its kind allows it.
func (s *Simulator) api(kind Kind, serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id := strings.ToLower(r.PathValue("id"))
		now := s.now()
		n := s.count(kind)
		w.Header().Set("X-Ms-Request-Id", RequestIDOf(kind, n))
		w.Header().Set("X-Ms-Correlation-Request-Id", CorrelationIDOf(kind, n))
		s.judge.checkFresh(kind, r)
		if code, message := s.unauthorised(kind, r, now); code != 0 {
			s.judge.called(kind, id, now, code)
			refuse(w, code, http.StatusText(code), message)
			return
		}
		s.mu.Lock()
		faults := s.faults
		s.mu.Unlock()
		if faults.Status[kind] != 0 {
			s.judge.called(kind, id, now, faults.Status[kind])
			refuse(w, faults.Status[kind], "InternalServerError", "simulated fault")
			return
		}
		if !s.judge.allows(kind, now) {
			s.judge.called(kind, id, now, http.StatusTooManyRequests)
			if !faults.NoRetryAfter {
				w.Header().Set("Retry-After", "30")
			}
			refuse(w, http.StatusTooManyRequests, "TooManyRequests",
				"API calls quota exceeded! maximum allowed 2 per 00:01:00")
			return
		}
		recorder := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
		serve(recorder, r)
		s.judge.called(kind, id, now, recorder.status)
	}
}

// RequestIDOf returns what the answer to the nth request of a kind (from 1) is called in its header
// x-ms-request-id. Microsoft documents no such header of this API; its guidelines ask for one.
func RequestIDOf(kind Kind, n int) string { return IDOf("request", kind, n) }

// CorrelationIDOf returns the same for the header x-ms-correlation-request-id. Downloads have none.
func CorrelationIDOf(kind Kind, n int) string { return IDOf("correlation", kind, n) }

// count counts a request, and returns how many there were of its kind.
func (s *Simulator) count(kind Kind) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[kind]++
	return s.answers[kind]
}

// statusRecorder remembers the status of an answer.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (w *statusRecorder) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// answer writes a JSON answer.
func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client is gone: nothing to tell it
}

// refuse answers in the API's form of an error.
func refuse(w http.ResponseWriter, status int, code, message string) {
	answer(w, status, map[string]any{"error": map[string]string{
		"code": code, "message": message, "target": "43f4cb08-8fac-4b65-9db1-745c2ae65f3a",
	}})
}
