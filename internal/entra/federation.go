package entra

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"packhorse/internal/tenant"
)

// identitySeconds is how long AWS's token is valid: long enough for one exchange, with retries.
const identitySeconds = 300

// STS is the part of *sts.Client that a Federation uses. Its endpoint MUST be a regional one.
type STS interface {
	GetWebIdentityToken(context.Context, *sts.GetWebIdentityTokenInput,
		...func(*sts.Options)) (*sts.GetWebIdentityTokenOutput, error)
}

// Federation is the [Credential] of an app that Entra ID trusts because AWS vouches for an IAM role. Nothing
// is stored anywhere.
type Federation struct {
	client   STS
	role     string // its ARN; empty for the caller's own identity
	audience string
}

// NewFederation returns the credential. The client acts as the role; audience is the one of the Microsoft
// cloud, such as api://AzureADTokenExchange.
func NewFederation(client STS, role, audience string) *Federation {
	return &Federation{client, role, audience}
}

// Kind implements [Credential].
func (*Federation) Kind() tenant.Kind { return tenant.Federated }

// Proofs implements [Credential]. It gets one token from AWS, which is valid for five minutes.
func (f *Federation) Proofs(ctx context.Context, _ Application, _ bool) ([]Proof, error) {
	out, err := f.client.GetWebIdentityToken(ctx, &sts.GetWebIdentityTokenInput{
		Audience: []string{f.audience}, SigningAlgorithm: aws.String("RS256"), // Entra ID accepts no other
		DurationSeconds: aws.Int32(identitySeconds),
	})
	if err != nil {
		return nil, f.explain(err)
	}
	token := aws.ToString(out.WebIdentityToken)
	if token == "" {
		return nil, &Error{Message: "AWS answered without an identity token", Advice: "try again", passing: true}
	}
	identity := IdentityOf(token)
	return []Proof{{
		Name: "the federated identity " + identity.Subject, id: fingerprint(token), hidden: []string{token},
		fix: identity.String(), identity: asserted(token),
	}}, nil
}

// Identity is what a federated credential in Entra ID must say for AWS's token to be accepted.
type Identity struct {
	Issuer, Subject, Audience string
}

func (i Identity) String() string {
	return fmt.Sprintf("issuer %s, subject %s, audience %s", i.Issuer, i.Subject, i.Audience)
}

// IdentityOf reads the identity out of a token, without verifying it. It leaves out what it cannot read.
func IdentityOf(token string) Identity {
	_, rest, _ := strings.Cut(token, ".")
	payload, _, _ := strings.Cut(rest, ".")
	text, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(payload, "="))
	if err != nil {
		return Identity{}
	}
	var claims struct {
		Issuer   string          `json:"iss"`
		Subject  string          `json:"sub"`
		Audience json.RawMessage `json:"aud"` // a string or a list
	}
	err = json.Unmarshal(text, &claims)
	if err != nil {
		return Identity{}
	}
	var one string
	var several []string
	if json.Unmarshal(claims.Audience, &several) == nil {
		one = strings.Join(several, " ")
	} else {
		_ = json.Unmarshal(claims.Audience, &one) // otherwise it stays empty
	}
	return Identity{shown(issuerForm, claims.Issuer), shown(subjectForm, claims.Subject), shown(audienceForm, one)}
}

// shownBytesMax is longer than any of these: the name and path of a role have at most 576 characters.
const shownBytesMax = 640

// The forms of what AWS's tokens say. They leave no room for a link to a package or for a token. Lengths are not
// part of them, because expressions that repeat hundreds of times are slow to compile.
var (
	issuerForm   = regexp.MustCompile(`^https://[A-Za-z0-9.-]+(/[A-Za-z0-9._-]{1,40}){0,3}/?$`)
	subjectForm  = regexp.MustCompile(`^arn:[a-z-]+:(iam|sts)::[0-9]{1,12}:[A-Za-z0-9+=,.@_/-]+$`)
	audienceForm = regexp.MustCompile(`^api://[A-Za-z0-9-]+$`)
)

// shown returns text if it has the form.
func shown(form *regexp.Regexp, text string) string {
	if len(text) <= shownBytesMax && form.MatchString(text) {
		return text
	}
	return "(not readable)"
}

// explain adds advice. Source: the errors of GetWebIdentityToken and AssumeRole in the API reference.
func (f *Federation) explain(err error) error {
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return fmt.Errorf("get an identity token from AWS: %w", err)
	}
	as := "your AWS identity"
	if f.role != "" {
		as = "the role " + f.role
	}
	var advice string
	switch api.ErrorCode() {
	case "OutboundWebIdentityFederationDisabled", "OutboundWebIdentityFederationDisabledException":
		advice = "an administrator turns it on once for the account: aws iam enable-outbound-web-identity-federation"
	case "AccessDenied", "AccessDeniedException":
		operation, _ := errors.AsType[*smithy.OperationError](err)
		if operation != nil && operation.OperationName == "AssumeRole" || strings.Contains(err.Error(), "AssumeRole") {
			advice = "let your AWS identity assume " + as + ": its trust policy must name you, and your policy sts:AssumeRole on it"
		} else {
			advice = "allow sts:GetWebIdentityToken to " + as + " for the audience " + f.audience
		}
	case "ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException":
		advice = "sign in to AWS again (aws sso login), or check AWS_PROFILE"
	default:
		return fmt.Errorf("get an identity token from AWS for %s: %w", as, err)
	}
	return &Error{
		Message: fmt.Sprintf("AWS does not vouch for %s: %s", as, api.ErrorCode()), Advice: advice, cause: err,
	}
}
