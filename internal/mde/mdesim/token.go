package mdesim

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// tokenLifetime is the lifetime of an application's token from Entra ID.
const tokenLifetime = time.Hour

// audience is the resource whose tokens the API accepts, on any host.
const audience = "https://api.securitycenter.microsoft.com"

// token is an issued token.
type token struct {
	audience string
	roles    []string
	expires  time.Time
}

// serveDiscovery returns the endpoints; MSAL requests it first.
func (s *Simulator) serveDiscovery(w http.ResponseWriter, r *http.Request) {
	tenant := r.PathValue("tenant")
	if !s.knowsTenant(tenant) {
		s.refuseToken(w, http.StatusBadRequest, "invalid_tenant", 90002, fmt.Sprintf(
			"Tenant '%s' not found. Check to make sure you have the correct tenant ID and are "+
				"signing into the correct cloud.", tenant))
		return
	}
	base := s.config.APIOrigin + "/" + tenant
	answer(w, http.StatusOK, map[string]any{
		"token_endpoint":         base + "/oauth2/v2.0/token",
		"authorization_endpoint": base + "/oauth2/v2.0/authorize",
		"issuer":                 base + "/v2.0",
	})
}

// serveToken is the token endpoint of the client credentials flow.
func (s *Simulator) serveToken(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	faults := s.faults
	s.mu.Unlock()
	if err := r.ParseForm(); err != nil {
		s.refuseToken(w, http.StatusBadRequest, "invalid_request", 900144,
			"The request body must contain the following parameter: 'grant_type'.")
		return
	}
	form := r.PostForm
	scope := strings.Fields(form.Get("scope"))
	resource, isDefault := "", false
	if len(scope) > 0 {
		resource, isDefault = strings.CutSuffix(scope[0], "/.default")
	}
	refused := s.checkProof(form, r.PathValue("tenant"), faults)
	switch {
	case !s.knowsTenant(r.PathValue("tenant")):
		s.refuseToken(w, http.StatusBadRequest, "invalid_request", 90002, fmt.Sprintf(
			"Tenant '%s' not found.", r.PathValue("tenant")))
	case form.Get("grant_type") != "client_credentials":
		s.refuseToken(w, http.StatusBadRequest, "unsupported_grant_type", 70003,
			"The app requested an unsupported grant type.")
	case !strings.EqualFold(form.Get("client_id"), s.config.ClientID):
		s.refuseToken(w, http.StatusBadRequest, "unauthorized_client", 700016, fmt.Sprintf(
			"Application with identifier '%s' was not found in the directory 'Contoso'. This can "+
				"happen if the application has not been installed by the administrator of the tenant.",
			form.Get("client_id")))
	case refused != nil:
		s.refuseToken(w, refused.status, refused.code, refused.number, refused.message)
	case !isDefault:
		s.refuseToken(w, http.StatusBadRequest, "invalid_scope", 70011,
			"The provided value for the input parameter 'scope' is not valid.")
	default:
		granted := s.config.Roles
		if faults.TokenWithoutRoles {
			granted = nil
		}
		answer(w, http.StatusOK, map[string]any{
			"token_type": "Bearer", "expires_in": int(tokenLifetime.Seconds()) - 1,
			"ext_expires_in": int(tokenLifetime.Seconds()) - 1,
			"access_token":   s.issue(resource, granted),
		})
		s.judge.called(KindToken, "", s.now(), http.StatusOK)
	}
}

// checkProof returns why Entra ID refuses the proof of a token request, or nil.
func (s *Simulator) checkProof(form url.Values, tenant string, faults Faults) *refusal {
	if text := form.Get("client_assertion"); text != "" {
		return s.checkAssertion(form.Get("client_assertion_type"), text, tenant)
	}
	secret := form.Get("client_secret")
	switch {
	case secret == "":
		return invalidClient(7000218, "The request body must contain the following parameter: 'client_assertion' or"+
			" 'client_secret'.")
	case faults.SecretExpired:
		return invalidClient(7000222, "The provided client secret keys for app '%s' are expired.", s.config.ClientID)
	case !slices.Contains(s.Registration().Secrets, secret):
		return invalidClient(7000215, "Invalid client secret provided. Ensure the secret being sent in the request is"+
			" the client secret value, not the client secret ID, for a secret added to app '%s'.", s.config.ClientID)
	}
	return nil
}

func (s *Simulator) knowsTenant(tenant string) bool {
	return strings.EqualFold(tenant, s.config.TenantID)
}

// issue makes a token. It looks like a JWT and is looked up by its text: nobody verifies its
// signature.
func (s *Simulator) issue(resource string, granted []string) string {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serial++
	claims := map[string]any{
		"aud": resource, "iss": "https://sts.windows.net/" + s.config.TenantID + "/",
		"appid": s.config.ClientID, "tid": s.config.TenantID,
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(tokenLifetime).Unix(),
		"uti": fmt.Sprintf("simulated-%d", s.serial),
	}
	if len(granted) > 0 {
		claims["roles"] = granted
	}
	encode := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			panic("mdesim: encode the claims: " + err.Error())
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	text := encode(map[string]string{"typ": "JWT", "alg": "RS256"}) + "." + encode(claims) +
		"." + base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "signature %d", s.serial))
	s.tokens[text] = token{audience: resource, roles: granted, expires: now.Add(tokenLifetime)}
	return text
}

// refuseToken responds with an error in Entra ID's format.
func (s *Simulator) refuseToken(w http.ResponseWriter, status int, code string, number int,
	message string,
) {
	now := s.now()
	s.judge.called(KindToken, "", now, status)
	trace := "0d2b1c3e-5f60-4a7b-8c9d-0e1f2a3b4c00"
	stamp := now.UTC().Format("2006-01-02 15:04:05Z")
	answer(w, status, map[string]any{
		"error": code,
		"error_description": fmt.Sprintf("AADSTS%d: %s Trace ID: %s Correlation ID: %s Timestamp: %s",
			number, message, trace, trace, stamp),
		"error_codes": []int{number}, "timestamp": stamp,
		"trace_id": trace, "correlation_id": trace,
		"error_uri": fmt.Sprintf("https://login.microsoftonline.com/error?code=%d", number),
	})
}

// unauthorized returns the status and message for a call whose token is refused, or 0.
func (s *Simulator) unauthorized(kind Kind, r *http.Request, now time.Time) (int, string) {
	text, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	s.mu.Lock()
	t, known := s.tokens[text]
	s.mu.Unlock()
	switch {
	case !ok || !known:
		return http.StatusUnauthorized, "Unauthorized: the token is missing or not valid."
	case !now.Before(t.expires):
		return http.StatusUnauthorized, "Unauthorized: the token has expired."
	case t.audience != audience:
		return http.StatusForbidden, "The token is for another resource: " + t.audience
	}
	for _, role := range t.roles {
		for _, wanted := range roles[kind] {
			if role == wanted {
				return 0, ""
			}
		}
	}
	return http.StatusForbidden, fmt.Sprintf(
		"Missing application roles. API required roles: %s, application roles: %s.",
		strings.Join(roles[kind], ","), strings.Join(t.roles, ","))
}
