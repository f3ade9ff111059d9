// Package mdesim simulates the parts of Microsoft Defender for Endpoint that investigation packages
// involve, strictly enough that a client which passes here works with the real service.
//
// Like the real service it has two HTTP handlers: [Simulator.API] serves the machine actions and
// the token endpoint, [Simulator.Downloads] the host that links point to. Tests pass in the clock;
// [Start] serves both handlers on loopback with its own certificates. The [Judge] records every
// call and every broken rule.
//
// The behavior follows Microsoft's documentation and public traces of the service. Where those
// differ (a quoted link or a plain one, a nextLink or none), a switch in [Faults] selects the
// variant.
package mdesim

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Limits are the calls an API allows in any minute and any hour, both sliding and aligned to the
// clock.
type Limits struct {
	PerMinute int
	PerHour   int
}

// Config describes a simulated tenant and its application.
type Config struct {
	TenantID     string
	ClientID     string
	ClientSecret string
	Roles        []string // granted application permissions

	// Keys returns the JSON Web Key Set of an issuer of federated identities. Without it, none is trusted.
	Keys func(issuer string) ([]byte, error)

	APIOrigin      string // the API's scheme, host and port as clients see them
	DownloadOrigin string // the same for the download host

	PackageURILimits Limits
	ListLimits       Limits // for every other call, per kind
	LinkLifetime     time.Duration
}

// Defaults returns the documented limits, with the tenant and application of the documentation's
// samples. The server must set the origins.
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

// Simulator simulates one tenant. It is safe for concurrent use.
type Simulator struct {
	config Config
	now    func() time.Time
	judge  *Judge

	mu      sync.Mutex // guards the fields below
	actions []*action  // in the order added
	tokens  map[string]token
	links   map[string]link
	faults  Faults
	serial  int // numbers links and tokens
	answers map[Kind]int

	registration Registration
	assertions   map[string]bool // issuer and jti of those accepted
	presented    []string        // the assertions themselves, accepted or not
}

// New returns a tenant without actions.
func New(config Config, now func() time.Time) *Simulator {
	return &Simulator{
		config: config, now: now, judge: newJudge(config),
		tokens: map[string]token{}, links: map[string]link{}, answers: map[Kind]int{},
		registration: Registration{Secrets: []string{config.ClientSecret}}, assertions: map[string]bool{},
	}
}

// Judge returns the tenant's judge.
func (s *Simulator) Judge() *Judge { return s.judge }

// SetFaults replaces all fault switches.
func (s *Simulator) SetFaults(f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = f
}

// API returns the handler of the API, the token endpoint and, under /_sim/, the simulator's own
// controls.
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
	mux.HandleFunc("HEAD /{$}", http.NotFound) // somebody looks whether the host answers
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.judge.broke("%s %s is not a resource of the API", r.Method, r.URL.Path)
		refuse(w, http.StatusNotFound, "NotFound",
			"No HTTP resource was found that matches the request URI '"+r.URL.Path+"'.")
	})
	return mux
}

// roles lists the permissions for each kind of call; one of them is enough. Source: the
// documentation's permission tables, old and new.
var roles = map[Kind][]string{
	KindList:       {"Machine.Read.All", "Machine.ReadWrite.All"},
	KindGet:        {"Machine.Read.All", "Machine.ReadWrite.All"},
	KindPackageURI: {"Machine.Read.All", "Machine.ReadWrite.All", "Machine.CollectForensics"},
	KindCollect:    {"Machine.CollectForensics"},
	KindCancel:     {"Machine.CollectForensics"},
}

// api wraps a resource with the checks of the token and of the limit for its kind.
func (s *Simulator) api(kind Kind, serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id := strings.ToLower(r.PathValue("id"))
		now := s.now()
		n := s.count(kind)
		w.Header().Set("X-Ms-Request-Id", RequestIDOf(kind, n))
		w.Header().Set("X-Ms-Correlation-Request-Id", CorrelationIDOf(kind, n))
		s.judge.checkFresh(kind, r)
		if code, message := s.unauthorized(kind, r, now); code != 0 {
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

// RequestIDOf returns the x-ms-request-id of the response to the nth request of a kind (from 1).
// Microsoft does not document this header for the API, but its API guidelines ask for one.
func RequestIDOf(kind Kind, n int) string { return IDOf("request", kind, n) }

// CorrelationIDOf returns the same for the header x-ms-correlation-request-id, which downloads do
// not have.
func CorrelationIDOf(kind Kind, n int) string { return IDOf("correlation", kind, n) }

// count counts a request and returns the number of requests of its kind.
func (s *Simulator) count(kind Kind) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[kind]++
	return s.answers[kind]
}

// statusRecorder records the status of a response.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (w *statusRecorder) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// answer writes a JSON response.
func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client is gone
}

// refuse responds with an error in the API's format.
func refuse(w http.ResponseWriter, status int, code, message string) {
	answer(w, status, map[string]any{"error": map[string]string{
		"code": code, "message": message, "target": "43f4cb08-8fac-4b65-9db1-745c2ae65f3a",
	}})
}
