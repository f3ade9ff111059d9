package cloud

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"packhorse/internal/doctor"
	"packhorse/internal/entra"
	"packhorse/internal/tenant"
)

// Names of the parameters and outputs of template.yaml that say how the app proves who it is.
const (
	parameterCredential        = "DefenderCredential"
	parameterSecret            = "DefenderSecretArn"
	parameterCertificate       = "DefenderCertificatePem"
	parameterCertificateKey    = "DefenderCertificateKeyArn"
	parameterCertificateSecret = "DefenderCertificateSecretArn"

	outputAudience       = "FederatedAudience"
	outputIdentity       = "FederatedSubject"
	outputCertificateKey = "CertificateKeyArn"
)

// kind returns how the stack's app proves who it is. Templates without the parameter know only secrets.
func (c *Cloud) kind() tenant.Kind {
	return cmp.Or(tenant.Kind(c.stack.Parameters[parameterCredential]), tenant.ClientSecret)
}

// secretName returns the stack's client secret, or an empty string if it has none.
func (c *Cloud) secretName() string {
	if c.kind() != tenant.ClientSecret {
		return ""
	}
	return cmp.Or(c.stack.Parameters[parameterSecret], c.resources[resourceSecret].name)
}

// credentialVariables sets what the functions' environments must say about the credential. Those of the other
// kinds must be empty.
func (c *Cloud) credentialVariables(all map[string]string, w doctor.StackWanted) {
	in := c.stack.Parameters
	if _, ok := in[parameterCredential]; !ok { // an older template
		if w.Secret != "" {
			all["DEFENDER_SECRET_ID"] = w.Secret
		}
		return
	}
	role, text, key, secret := "", "", "", ""
	switch kind := c.kind(); {
	case kind == tenant.Federated:
		role = w.Identity
	case kind == tenant.Certificate && in[parameterCertificateSecret] != "":
		secret = in[parameterCertificateSecret]
	case kind == tenant.Certificate:
		text, key = in[parameterCertificate], w.CertificateKey
	}
	all["DEFENDER_CREDENTIAL"], all["DEFENDER_SECRET_ID"] = in[parameterCredential], w.Secret
	all["DEFENDER_IDENTITY_ROLE"], all["DEFENDER_CERTIFICATE_SECRET_ID"] = role, secret
	all["DEFENDER_CERTIFICATE_PEM"], all["DEFENDER_CERTIFICATE_KEY_ID"] = text, key
}

// federation reads the account's switch.
func (c *Cloud) federation(ctx context.Context) (doctor.StackFederation, error) {
	out, err := c.roles.GetOutboundWebIdentityFederationInfo(ctx, &iam.GetOutboundWebIdentityFederationInfoInput{})
	if codeOf(err) == "FeatureDisabled" || codeOf(err) == "FeatureDisabledException" {
		return doctor.StackFederation{}, nil
	}
	if err != nil {
		return doctor.StackFederation{}, seen(err, "iam:GetOutboundWebIdentityFederationInfo", "the account's outbound federation")
	}
	return doctor.StackFederation{Enabled: out.JwtVendingEnabled, Issuer: aws.ToString(out.IssuerIdentifier)}, nil
}

// identityName returns the name of the role that AWS vouches for.
func (c *Cloud) identityName() string {
	id, err := arn.Parse(c.want.Identity)
	if err != nil {
		return c.want.Name + "-defender-identity"
	}
	return strings.TrimPrefix(id.Resource, "role/")
}

func (c *Cloud) trust(ctx context.Context) (string, error) {
	name := c.identityName()
	out, err := c.roles.GetRole(ctx, &iam.GetRoleInput{RoleName: &name})
	if err != nil {
		return "", seen(err, "iam:GetRole", "the role "+name)
	}
	return unescaped(aws.ToString(out.Role.AssumeRolePolicyDocument)), nil
}

// identityPolicyName is the name of the identity's one policy.
const identityPolicyName = "defender-identity"

func (c *Cloud) identityPolicy(ctx context.Context) (string, error) {
	name := c.identityName()
	out, err := c.roles.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: &name, PolicyName: aws.String(identityPolicyName)})
	if err != nil {
		return "", seen(err, "iam:GetRolePolicy", "the policy "+identityPolicyName+" of the role "+name)
	}
	return unescaped(aws.ToString(out.PolicyDocument)), nil
}

// unescaped undoes what IAM does to policies: they are written as in a URL.
func unescaped(policy string) string {
	text, err := url.PathUnescape(policy)
	if err != nil {
		return policy
	}
	return text
}

// certificates reads the certificates that the stack was deployed with, or those in Secrets Manager.
func (c *Cloud) certificates(ctx context.Context) (found doctor.StackCertificates, err error) {
	id, text := c.want.CertificateSecret, c.stack.Parameters[parameterCertificate]
	if id == "" {
		if text == "" {
			return found, nil
		}
		return describe(text), nil
	}
	text, err = entra.NewVault(c.secrets, id, c.now).Read(ctx, true)
	unusable, ok := errors.AsType[*entra.Error](err)
	switch {
	case codeOf(err) == "InvalidRequestException":
		return doctor.StackCertificates{Deleted: true}, nil
	case codeOf(err) != "":
		return found, seen(err, "secretsmanager:GetSecretValue", "the value of the secret "+id)
	case ok:
		return doctor.StackCertificates{Problem: unusable.Error()}, nil
	case err != nil:
		return found, seen(err, "secretsmanager:GetSecretValue", "the secret "+id)
	}
	return c.withKey(ctx, text, id), nil
}

// withKey returns the certificates in a text that has their private key, too, if the functions can use both.
func (c *Cloud) withKey(ctx context.Context, text, where string) doctor.StackCertificates {
	found := describe(text)
	_, err := entra.NewCertificate(entra.Text(text), where, c.now).Proofs(ctx, entra.Application{}, false)
	if unusable, ok := errors.AsType[*entra.Error](err); ok && !c.outdated(found) {
		found.Problem = unusable.Message
	}
	return found
}

// outdated reports whether no certificate is valid now, which the check says better.
func (c *Cloud) outdated(found doctor.StackCertificates) bool {
	for _, one := range found.Certificates {
		if now := c.now(); !now.Before(one.From) && !now.After(one.Expires) {
			return false
		}
	}
	return found.Problem == ""
}

func describe(text string) (found doctor.StackCertificates) {
	all, err := entra.Certificates(text)
	if err != nil {
		found.Problem = err.Error()
	}
	for _, one := range all {
		found.Certificates = append(found.Certificates, doctor.StackCertificate{Name: one.Name, From: one.From, Expires: one.Expires})
	}
	return found
}

// match returns the names of the certificates that are not of the key in KMS.
func (c *Cloud) match(ctx context.Context) ([]string, error) {
	key := c.want.CertificateKey
	out, err := c.keys.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: &key})
	if err != nil {
		return nil, seen(err, "kms:GetPublicKey", "the key "+key)
	}
	public, err := x509.ParsePKIXPublicKey(out.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("parse the public key of %s: %w", key, err)
	}
	all, err := entra.Certificates(c.stack.Parameters[parameterCertificate])
	if err != nil {
		return nil, err
	}
	var foreign []string
	for _, one := range all {
		if !one.Of(public) {
			foreign = append(foreign, one.Name)
		}
	}
	return foreign, nil
}
