package mdesim

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// assertionType is the type of every client assertion (RFC 7523).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// refusal is an answer of Entra ID to a credential it does not accept.
type refusal struct {
	status  int
	code    string // OAuth's
	number  int    // after AADSTS
	message string
}

func invalidClient(number int, format string, args ...any) *refusal {
	return &refusal{http.StatusUnauthorized, "invalid_client", number, fmt.Sprintf(format, args...)}
}

// assertion is a parsed client assertion.
type assertion struct {
	algorithm, keyID, thumbprint string // from the header
	issuer, subject, audience    string
	id                           string
	notBefore, expires           time.Time
	signed, signature            []byte
}

// parseAssertion reads an assertion without verifying it.
func parseAssertion(text string) (assertion, bool) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return assertion{}, false
	}
	var header struct {
		Algorithm     string `json:"alg"`
		KeyID         string `json:"kid"`
		Thumbprint256 string `json:"x5t#S256"`
		Thumbprint    string `json:"x5t"`
	}
	var claims struct {
		Issuer    string          `json:"iss"`
		Subject   string          `json:"sub"`
		Audience  json.RawMessage `json:"aud"`
		ID        string          `json:"jti"`
		NotBefore int64           `json:"nbf"`
		Expires   int64           `json:"exp"`
	}
	for i, to := range []any{&header, &claims} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(text, to) != nil {
			return assertion{}, false
		}
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return assertion{}, false
	}
	a := assertion{
		algorithm: header.Algorithm, keyID: header.KeyID, thumbprint: header.Thumbprint256,
		issuer: claims.Issuer, subject: claims.Subject, id: claims.ID,
		notBefore: time.Unix(claims.NotBefore, 0), expires: time.Unix(claims.Expires, 0),
		signed: []byte(parts[0] + "." + parts[1]), signature: signature,
	}
	if a.thumbprint == "" {
		a.thumbprint = header.Thumbprint
	}
	var several []string
	if json.Unmarshal(claims.Audience, &several) == nil && len(several) == 1 {
		a.audience = several[0] // Entra ID accepts one
	} else {
		_ = json.Unmarshal(claims.Audience, &a.audience) // otherwise it matches nothing
	}
	return a, true
}

// checkAssertion returns why Entra ID refuses the assertion of a token request, or nil.
func (s *Simulator) checkAssertion(kind, text, tenant string) *refusal {
	s.mu.Lock()
	s.presented = append(s.presented, text)
	s.mu.Unlock()
	a, ok := parseAssertion(text)
	switch {
	case kind != assertionType || !ok:
		return invalidClient(50027, "JWT token is invalid or malformed.")
	case strings.EqualFold(a.issuer, s.config.ClientID):
		return s.checkCertificate(a, tenant)
	default:
		return s.checkFederation(a)
	}
}

// Assertions returns every assertion presented so far. They must not be found anywhere else.
func (s *Simulator) Assertions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.presented)
}

// checkCertificate checks an assertion that the app signed itself.
func (s *Simulator) checkCertificate(a assertion, tenant string) *refusal {
	certificate := s.certificateOf(a.thumbprint)
	endpoint := s.config.APIOrigin + "/" + tenant + "/oauth2/v2.0/token"
	switch {
	case certificate == nil:
		return invalidClient(700027, "The certificate with identifier used to sign the client assertion is not"+
			" registered on application. [Reason - The key was not found., Thumbprint of key used by client:"+
			" '%s', Please visit the Azure Portal, Graph Explorer or directly use MS Graph to see configured keys"+
			" for app Id '%s'.]", hexOf(a.thumbprint), s.config.ClientID)
	case !verified(certificate.PublicKey, a):
		return invalidClient(700027, "Client assertion failed signature validation. [Reason - The provided signature"+
			" value did not match the expected signature value., Thumbprint of key used by client: '%s'.]",
			hexOf(a.thumbprint))
	case a.subject != a.issuer || !strings.EqualFold(a.audience, endpoint):
		return invalidClient(700023, "Client assertion audience claim does not match Realm issuer. Review the"+
			" documentation at https://docs.microsoft.com/azure/active-directory/develop/active-directory-certificate-credentials .")
	}
	return s.checkTimes(a)
}

// certificateOf returns the registered certificate with a thumbprint, of either kind, or nil.
func (s *Simulator) certificateOf(thumbprint string) *x509.Certificate {
	name := hexOf(thumbprint)
	for _, certificate := range s.Registration().Certificates {
		if name == fmt.Sprintf("%X", sha256.Sum256(certificate.Raw)) ||
			name == fmt.Sprintf("%X", sha1.Sum(certificate.Raw)) {
			return certificate
		}
	}
	return nil
}

// hexOf shows a thumbprint as Entra ID does. Microsoft's own library sends it in plain base64.
func hexOf(thumbprint string) string {
	for _, encoding := range []*base64.Encoding{base64.RawURLEncoding, base64.StdEncoding} {
		raw, err := encoding.DecodeString(thumbprint)
		if err == nil {
			return fmt.Sprintf("%X", raw)
		}
	}
	return thumbprint
}

// checkFederation checks an assertion that another issuer signed.
func (s *Simulator) checkFederation(a assertion) *refusal {
	registered := s.Registration().Federations
	const see = " https://learn.microsoft.com/entra/workload-id/workload-identity-federation"
	issuers := slices.DeleteFunc(slices.Clone(registered), func(f Federation) bool { return f.Issuer != a.issuer })
	subjects := slices.DeleteFunc(slices.Clone(issuers), func(f Federation) bool { return f.Subject != a.subject })
	switch {
	case len(registered) == 0:
		return invalidClient(70021, "No matching federated identity record found for presented assertion. Assertion"+
			" Issuer: '%s'. Assertion Subject: '%s'. Assertion Audience: '%s'."+see, a.issuer, a.subject, a.audience)
	case len(issuers) == 0:
		return invalidClient(700211, "No matching federated identity record found for presented assertion issuer"+
			" '%s'. Please check your federated identity credential Subject, Audience and Issuer against the"+
			" presented assertion."+see, a.issuer)
	case len(subjects) == 0:
		return invalidClient(700213, "No matching federated identity record found for presented assertion subject"+
			" '%s'. Check your federated identity credential Subject, Audience and Issuer against the presented"+
			" assertion."+see, a.subject)
	case subjects[0].Audience != a.audience:
		return invalidClient(700212, "No matching federated identity record found for presented assertion audience"+
			" '%s'. Check your federated identity credential Subject, Audience and Issuer against the presented"+
			" assertion."+see, a.audience)
	case s.config.Keys == nil:
		return invalidClient(50166, "Request to External OIDC endpoint failed.")
	}
	set, err := s.config.Keys(a.issuer)
	if err != nil {
		return invalidClient(50166, "Request to External OIDC endpoint failed.")
	}
	keys, err := keysOf(set)
	key := keys[a.keyID]
	if err != nil || key == nil || a.algorithm != "RS256" || !verified(key, a) {
		return invalidClient(700030, "Invalid certificate - the signature of the presented assertion could not be verified.")
	}
	return s.checkTimes(a)
}

// checkTimes checks that the assertion is valid now and was not used before.
func (s *Simulator) checkTimes(a assertion) *refusal {
	const leeway = 5 * time.Minute // Entra ID's tolerance of clock skew
	now := s.now()
	if now.Before(a.notBefore.Add(-leeway)) || now.After(a.expires.Add(leeway)) {
		return invalidClient(700024, "Client assertion is not within its valid time range. Current time: %s,"+
			" assertion valid from %s, expiry time of assertion %s.", now.UTC().Format(time.RFC3339),
			a.notBefore.UTC().Format(time.RFC3339), a.expires.UTC().Format(time.RFC3339))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.id == "" || s.assertions[a.issuer+" "+a.id] {
		return invalidClient(700025, "The client assertion was used before: its jti is not unique.")
	}
	s.assertions[a.issuer+" "+a.id] = true
	return nil
}

// verified reports whether the key signed the assertion by its algorithm.
func verified(public any, a assertion) bool {
	key, ok := public.(*rsa.PublicKey)
	digest := sha256.Sum256(a.signed)
	switch {
	case !ok:
		return false
	case a.algorithm == "PS256":
		return rsa.VerifyPSS(key, crypto.SHA256, digest[:], a.signature, nil) == nil
	case a.algorithm == "RS256":
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], a.signature) == nil
	default:
		return false
	}
}
