package stssim

import (
	"crypto/rand"
	"encoding/xml"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Faults are switches. The zero Faults is a healthy service.
type Faults struct {
	Disabled  bool          // the account has not turned outbound federation on
	Denied    string        // the action that IAM denies, such as AssumeRole
	Throttled int           // how many of the next calls are throttled
	Slow      time.Duration // the delay before each answer
	Subject   string        // vouches for somebody else
	Audience  string        // for another audience
	Lifetime  time.Duration // of tokens; negative ones have expired
	Forged    bool          // signs with a key that is not the issuer's
	Empty     bool          // answers without a token
}

// Server is STS in one account. It is safe for concurrent use.
type Server struct {
	Issuer *Issuer
	Caller string // the ARN of the identity that is not in an assumed role

	now func() time.Time

	mu     sync.Mutex // guards the fields below
	faults Faults
	roles  map[string]string // ARNs, by access key
	calls  map[string]int    // by action
}

// New returns STS for callers whose own identity is caller, an ARN.
func New(issuer *Issuer, caller string, now func() time.Time) *Server {
	return &Server{Issuer: issuer, Caller: caller, now: now, roles: map[string]string{}, calls: map[string]int{}}
}

// SetFaults replaces all fault switches.
func (s *Server) SetFaults(f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = f
}

// Calls returns how often an action was called.
func (s *Server) Calls(action string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[action]
}

// formBytesMax bounds a request.
const formBytesMax = 64 << 10

// ServeHTTP serves the query protocol of STS.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, formBytesMax)
	if r.Method != http.MethodPost || r.ParseForm() != nil {
		refuse(w, http.StatusBadRequest, "InvalidAction", "want a form by POST")
		return
	}
	action := r.PostForm.Get("Action")
	s.mu.Lock()
	s.calls[action]++
	faults := s.faults
	if faults.Throttled > 0 {
		s.faults.Throttled--
	}
	s.mu.Unlock()
	if faults.Slow > 0 {
		select {
		case <-time.After(faults.Slow):
		case <-r.Context().Done():
			return
		}
	}
	caller, known := s.callerOf(r)
	switch {
	case faults.Throttled > 0:
		refuse(w, http.StatusBadRequest, "Throttling", "Rate exceeded")
	case !known:
		refuse(w, http.StatusForbidden, "InvalidClientTokenId", "The security token included in the request is invalid.")
	case faults.Denied == action:
		refuse(w, http.StatusForbidden, "AccessDenied", fmt.Sprintf("User: %s is not authorized to perform: sts:%s", caller, action))
	case action == "AssumeRole":
		s.assumeRole(w, r)
	case action == "GetWebIdentityToken":
		s.webIdentityToken(w, r, caller, faults)
	case action == "GetCallerIdentity":
		answer(w, callerResponse{Arn: caller, Account: s.Issuer.Account, UserID: "AIDASIMULATED"})
	default:
		refuse(w, http.StatusBadRequest, "InvalidAction", "Could not find operation "+action)
	}
}

// credentialForm finds the access key in a signature.
var credentialForm = regexp.MustCompile(`Credential=([A-Za-z0-9_-]+)/`)

// temporary begins the access keys of assumed roles.
const temporary = "ASIASIMULATED"

// callerOf returns the ARN of who signed the request. Signatures are not verified.
func (s *Server) callerOf(r *http.Request) (arn string, known bool) {
	found := credentialForm.FindStringSubmatch(r.Header.Get("Authorization"))
	if found == nil {
		return "", false
	}
	if !strings.HasPrefix(found[1], temporary) {
		return s.Caller, true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	arn, known = s.roles[found[1]]
	return arn, known
}

const roleLifetime = time.Hour

func (s *Server) assumeRole(w http.ResponseWriter, r *http.Request) {
	role := r.PostForm.Get("RoleArn")
	key := temporary + rand.Text()[:8]
	s.mu.Lock()
	s.roles[key] = role
	s.mu.Unlock()
	answer(w, assumeResponse{
		AccessKeyID: key, SecretAccessKey: "simulated", SessionToken: "simulated",
		Expiration: s.now().Add(roleLifetime).UTC().Format(time.RFC3339),
	})
}

func (s *Server) webIdentityToken(w http.ResponseWriter, r *http.Request, caller string, faults Faults) {
	seconds, err := strconv.Atoi(r.PostForm.Get("DurationSeconds"))
	algorithm := r.PostForm.Get("SigningAlgorithm")
	switch {
	case faults.Disabled:
		refuse(w, http.StatusBadRequest, "OutboundWebIdentityFederationDisabled",
			"Outbound web identity federation is not enabled for this account.")
		return
	case err != nil || seconds < 60 || seconds > 3600:
		refuse(w, http.StatusBadRequest, "ValidationError", "DurationSeconds must be from 60 to 3600")
		return
	case algorithm != "RS256" && algorithm != "ES384":
		refuse(w, http.StatusBadRequest, "ValidationError", "SigningAlgorithm must be RS256 or ES384")
		return
	case faults.Empty:
		answer(w, tokenResponse{})
		return
	}
	now := s.now()
	claims := Claims{
		Issuer: s.Issuer.URL, Subject: caller, Audience: r.PostForm.Get("Audience.member.1"),
		IssuedAt: now, ExpiresAt: now.Add(time.Duration(seconds) * time.Second),
	}
	if faults.Subject != "" {
		claims.Subject = faults.Subject
	}
	if faults.Audience != "" {
		claims.Audience = faults.Audience
	}
	if faults.Lifetime != 0 {
		claims.ExpiresAt = now.Add(faults.Lifetime)
	}
	issuer := s.Issuer
	if faults.Forged {
		issuer, err = NewIssuer(issuer.Account)
		if err != nil {
			refuse(w, http.StatusInternalServerError, "InternalFailure", err.Error())
			return
		}
	}
	token, err := issuer.Sign(claims)
	if err != nil {
		refuse(w, http.StatusInternalServerError, "InternalFailure", err.Error())
		return
	}
	answer(w, tokenResponse{Token: token, Expiration: claims.ExpiresAt.UTC().Format(time.RFC3339)})
}

type tokenResponse struct {
	XMLName    xml.Name `xml:"GetWebIdentityTokenResponse"`
	Token      string   `xml:"GetWebIdentityTokenResult>WebIdentityToken,omitempty"`
	Expiration string   `xml:"GetWebIdentityTokenResult>Expiration,omitempty"`
}

type assumeResponse struct {
	XMLName         xml.Name `xml:"AssumeRoleResponse"`
	AccessKeyID     string   `xml:"AssumeRoleResult>Credentials>AccessKeyId"`
	SecretAccessKey string   `xml:"AssumeRoleResult>Credentials>SecretAccessKey"`
	SessionToken    string   `xml:"AssumeRoleResult>Credentials>SessionToken"`
	Expiration      string   `xml:"AssumeRoleResult>Credentials>Expiration"`
}

type callerResponse struct {
	XMLName xml.Name `xml:"GetCallerIdentityResponse"`
	Arn     string   `xml:"GetCallerIdentityResult>Arn"`
	Account string   `xml:"GetCallerIdentityResult>Account"`
	UserID  string   `xml:"GetCallerIdentityResult>UserId"`
}

type errorResponse struct {
	XMLName xml.Name `xml:"ErrorResponse"`
	Type    string   `xml:"Error>Type"`
	Code    string   `xml:"Error>Code"`
	Message string   `xml:"Error>Message"`
}

func answer(w http.ResponseWriter, body any) { write(w, http.StatusOK, body) }

func refuse(w http.ResponseWriter, status int, code, message string) {
	write(w, status, errorResponse{Type: "Sender", Code: code, Message: message})
}

func write(w http.ResponseWriter, status int, body any) {
	text, err := xml.Marshal(body)
	if err != nil {
		panic("stssim: encode an answer: " + err.Error()) // our own types always encode
	}
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	_, _ = w.Write(text) // the client is gone
}
