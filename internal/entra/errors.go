package entra

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"packhorse/internal/investigation"
)

// messageBytesMax bounds the text taken from Entra ID.
const messageBytesMax = 500

// Error is a failure to get a usable token, and advice on how to fix it.
type Error struct {
	Code    int    // the number after AADSTS; 0 if Entra ID sent none or was not reached
	Message string // the first line from Entra ID, or the obstacle
	Advice  string // how to fix it; may be empty

	passing bool  // likely to pass without anyone's help
	cause   error // the network error, if there was one
	noRoles bool  // there is a token, but without application roles
}

func (e *Error) Error() string {
	if e.Advice == "" {
		return e.Message
	}
	return e.Message + "; " + e.Advice
}

// Passing reports whether the failure is likely to pass without anyone's help: Entra ID was not
// reached or was unavailable. All other failures need a person.
func (e *Error) Passing() bool { return e.passing }

// NoRoles reports whether Entra ID accepted the credential, but its token grants no application permission.
func (e *Error) NoRoles() bool { return e.noRoles }

// NoConsent reports whether consent may be what is missing: the token grants no application permission, nobody
// has consented to the app, or the tenant does not know the app at all.
func (e *Error) NoConsent() bool {
	return e.noRoles || e.Code == codeAppUnknown || e.Code == codeNoConsent
}

// Unwrap returns the network error, or nil.
func (e *Error) Unwrap() error { return e.cause }

// ofCredential reports whether Entra ID refused the secret or certificate itself, as wrong or expired.
func (e *Error) ofCredential() bool {
	return e.Code == codeSecretWrong || e.Code == codeSecretExpired || e.Code == codeCertificateUnknown
}

// After the first three codes the credential is read again, since it may have been replaced. After the
// fourth, a new federated credential may not be known everywhere yet. The last two only choose advice and a
// metric. No other decision depends on a code; if Microsoft changes these, the credential is read again with the
// next token.
const (
	codeSecretWrong        = 7000215
	codeSecretExpired      = 7000222
	codeCertificateUnknown = 700027
	codeFederationUnknown  = 70021
	codeAppUnknown         = 700016
	codeNoConsent          = 65001
)

// adviceFor returns advice for people; values are those to compare with the app registration. Microsoft says
// that codes may change. Source: the error code reference in the Entra documentation.
func adviceFor(code int, values string) string {
	switch code {
	case codeSecretWrong:
		return "the client secret is wrong: set the secret's value (not its ID), and make sure it belongs to this" +
			" app registration (DEFENDER_CLIENT_ID)"
	case codeSecretExpired:
		return "the client secret has expired: create a new one in the app registration and set it"
	case codeCertificateUnknown:
		return "upload the certificate to the app registration (Certificates & secrets): " + values
	case codeFederationUnknown, 700211, 700212, 700213, 7002137, 7002138:
		return "give the app registration a federated credential (Certificates & secrets, Federated credentials," +
			" Other issuer) with exactly these values: " + values
	case codeAppUnknown:
		return "the app registration does not exist in this tenant: check DEFENDER_CLIENT_ID and" +
			" DEFENDER_TENANT_ID; an app of another tenant first needs this tenant's consent"
	case 700024:
		return "the assertion is not valid now: check this machine's clock"
	case codeNoConsent:
		return "the tenant has not consented to the app: an administrator opens its consent link"
	case 90002:
		return "the authority does not know the tenant: check DEFENDER_TENANT_ID, and" +
			" DEFENDER_CLOUD for a government cloud"
	case 7000112:
		return "the application is disabled in the tenant: enable it under Enterprise applications"
	case 70011, 500011:
		return "the scope is invalid: check DEFENDER_SCOPE and DEFENDER_CLOUD"
	case 53003:
		return "a Conditional Access policy blocks the application"
	case 900382, 900432:
		return "the tenant belongs to another cloud: check DEFENDER_CLOUD"
	default:
		return "check DEFENDER_TENANT_ID, DEFENDER_CLIENT_ID, the credential and DEFENDER_CLOUD"
	}
}

// explain turns an azidentity error into one that says how to fix it. azidentity's own text is the
// last resort, because it can contain whole responses.
func explain(ctx context.Context, err, network error, proof Proof) error {
	failed, ok := errors.AsType[*azidentity.AuthenticationFailedError](err)
	switch {
	case network != nil && untrusted(network):
		return &Error{
			Message: clean(fmt.Sprintf("the authority's certificate is not trusted: %v", network), proof.hidden...),
			Advice: "if a proxy inspects TLS, set DEFENDER_CA_PEM to its root certificate;" +
				" also check DEFENDER_AUTHORITY_URL",
			cause: network,
		}
	case network != nil:
		return &Error{
			Message: clean(fmt.Sprintf("the authority cannot be reached: %v", network), proof.hidden...),
			Advice:  "check the network, the proxy and DEFENDER_AUTHORITY_URL",
			passing: true, cause: network,
		}
	case ok && failed.RawResponse != nil:
		body, readErr := runtime.Payload(failed.RawResponse)
		if readErr != nil {
			body = nil // the status is enough
		}
		return parseRefusal(failed.RawResponse.StatusCode, body, proof)
	case ctx.Err() != nil:
		return &Error{
			Message: fmt.Sprintf("the authority did not answer within %v", tokenTimeout),
			passing: true, cause: ctx.Err(),
		}
	default:
		// The lines after the first are the unusable response, which may contain a token.
		line, _, _ := strings.Cut(err.Error(), "\n")
		return &Error{
			Message: clean("the authority's answer cannot be used: "+line, proof.hidden...),
			Advice:  "check DEFENDER_AUTHORITY_URL",
		}
	}
}

var codeForm = regexp.MustCompile(`^AADSTS(\d{1,9})\b`)

// parseRefusal reads {"error","error_description","error_codes"}. It keeps only the first line of
// the description; the others are trace ids.
func parseRefusal(status int, body []byte, proof Proof) *Error {
	var answer struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
		Codes       []int  `json:"error_codes"`
	}
	_ = json.Unmarshal(body, &answer) // an answer in another format leaves the message empty
	message, _, _ := strings.Cut(strings.TrimSpace(answer.Description), "\n")
	if message == "" {
		message = fmt.Sprintf("the authority answered %d %s %s",
			status, http.StatusText(status), answer.Error)
	}
	refused := &Error{
		Message: clean(message, proof.hidden...),
		passing: worthRetrying(&http.Response{StatusCode: status}, nil),
	}
	if len(answer.Codes) > 0 {
		refused.Code = answer.Codes[0]
	} else if found := codeForm.FindStringSubmatch(message); found != nil {
		refused.Code, _ = strconv.Atoi(found[1]) // nine digits always fit
	}
	if !refused.passing || refused.Code != 0 {
		refused.Advice = adviceFor(refused.Code, proof.fix)
	}
	return refused
}

// clean makes untrusted text safe for an error: valid UTF-8, short, on one line, and without what is
// hidden or anything that looks like a link or a token.
func clean(text string, hidden ...string) string {
	text = investigation.Redact(strings.ToValidUTF8(text, "\uFFFD"), hidden...)
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > messageBytesMax {
		text = strings.ToValidUTF8(text[:messageBytesMax], "")
	}
	return text
}

// checkRoles rejects a token without application roles: Entra ID issues one to any application in
// the tenant, and the API then answers every call with 403. It accepts a token that is not a JWT,
// because only the API has to understand tokens.
func checkRoles(token string) error {
	roles, ok := rolesIn(token)
	if !ok || len(roles) > 0 {
		return nil
	}
	return &Error{
		Message: "the token grants no application permission",
		Advice: "grant the app registration Machine.Read.All (or, as documented since 2025," +
			" Machine.ReadWrite.All) of WindowsDefenderATP as application permission, with admin" +
			" consent",
		noRoles: true,
	}
}

// rolesIn returns the application roles in a token. ok is false for a token that is not a JWT.
func rolesIn(token string) (roles []string, ok bool) {
	_, rest, _ := strings.Cut(token, ".")
	payload, _, _ := strings.Cut(rest, ".")
	text, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(payload, "="))
	if err != nil {
		return nil, false
	}
	var claims struct {
		Roles []string `json:"roles"`
	}
	err = json.Unmarshal(text, &claims)
	return claims.Roles, err == nil
}
