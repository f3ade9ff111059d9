package doctor

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"packhorse/internal/tenant"
)

// The names of the checks of a stack's credential.
const (
	nameSecret            = "secret"
	nameFederation        = "federation"
	nameIdentityTrust     = "identity.trust"
	nameIdentityPolicy    = "identity.policy"
	nameCertificate       = "certificate"
	nameCertificateKey    = "certificate.key"
	nameCertificateMatch  = "certificate.match"
	nameCertificatePolicy = "certificate.policy"
)

// credentialNames are the checks whose failure explains why the app gets no token.
var credentialNames = []string{
	nameSecret, nameFederation, nameIdentityTrust, nameIdentityPolicy, nameCertificate, nameCertificateKey, nameCertificateMatch,
}

// credentialChecks are those of the kind of credential that the stack has.
func credentialChecks(p StackPorts, w StackWanted) []Check {
	if w.NoApp {
		return nil
	}
	switch w.Kind {
	case tenant.Federated:
		return federationChecks(p, w)
	case tenant.Certificate:
		return certificateChecks(p, w)
	default:
		return []Check{{
			Name: nameSecret, Area: areaSecret, Looks: "whether the client secret can be read, and is not the placeholder",
			Run: seeing(p.Secret, w.secretCommand(), w.judgeSecret),
		}}
	}
}

func (w StackWanted) secretCommand() string {
	return paste("put the client secret's value into secret.txt, and store it",
		"aws secretsmanager put-secret-value --secret-id %s --secret-string file://secret.txt", shell(w.Secret))
}

func (w StackWanted) judgeSecret(s StackSecret) Finding {
	switch {
	case s.Deleted:
		return Fail(paste("restore it", "aws secretsmanager restore-secret --secret-id %s", shell(w.Secret)),
			"the secret is marked for deletion")
	case s.Placeholder:
		return Fail(w.secretCommand(), "the placeholder was never replaced: nothing can be archived")
	case s.Problem != "":
		return Fail(w.secretCommand(), "the functions cannot use it: %s", s.Problem)
	default:
		return Good("it is there, and not the placeholder")
	}
}

func federationChecks(p StackPorts, w StackWanted) []Check {
	return []Check{
		{
			Name: nameFederation, Area: areaSecret, Looks: "whether AWS vouches for roles of the account: its switch, and its issuer",
			Run: seeing(p.Federation, "", w.judgeFederation),
		},
		{
			Name: nameIdentityTrust, Area: areaSecret,
			Looks: "whether the role that AWS vouches for exists, and only the two functions can act as it",
			Run:   seeing(p.IdentityTrust, w.restore(), w.judgeTrust),
		},
		{
			Name: nameIdentityPolicy, Area: areaSecret, After: []string{nameIdentityTrust},
			Looks: "whether that role may ask AWS for tokens for Entra ID",
			Run: seeing(p.IdentityPolicy, w.restore(), func(text string) Finding {
				return w.judgePolicy(text, w.identityStatements(), func(policy string) string {
					return fmt.Sprintf("aws iam put-role-policy --role-name %s --policy-name defender-identity --policy-document %s",
						shell(nameOf(w.Identity)), shell(policy))
				})
			}),
		},
	}
}

// nameOf returns the name in the ARN of a role.
func nameOf(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

func (w StackWanted) judgeFederation(f StackFederation) Finding {
	if !f.Enabled {
		return Fail("an administrator turns it on once for the account: aws iam enable-outbound-web-identity-federation",
			"outbound web identity federation is off in the account: AWS vouches for no role")
	}
	return Good("on; the app registration needs a federated credential with issuer %s, subject %s, audience %s", f.Issuer,
		w.Identity, w.Audience)
}

// judgeTrust also looks for whoever else is trusted, because nothing denies it to them: they could act as the app.
func (w StackWanted) judgeTrust(text string) Finding {
	wanted := []statement{{
		fieldSid: "OnlyTheFunctions", fieldEffect: "Allow", fieldAction: "sts:AssumeRole",
		fieldPrincipal: map[string]any{"AWS": []string{w.PollRole, w.FetchRole}},
	}}
	command := func(policy string) string {
		return fmt.Sprintf("aws iam update-assume-role-policy --role-name %s --policy-document %s", shell(nameOf(w.Identity)),
			shell(policy))
	}
	f := w.judgePolicy(text, wanted, command)
	var policy struct{ Statement []statement }
	if json.Unmarshal([]byte(text), &policy) != nil {
		return f
	}
	others := slices.DeleteFunc(policy.Statement, func(s statement) bool {
		return s[fieldEffect] != "Allow" || slices.ContainsFunc(wanted, s.same)
	})
	switch {
	case len(others) > 0 && f.State == OK:
		return Fail("trust only the functions: "+command(w.policyText(wanted)),
			"others can act as %s, and so as the app: the trust policy has %d more statements", nameOf(w.Identity), len(others))
	case f.State == OK:
		return Good("only the two functions can act as %s", nameOf(w.Identity))
	default: // without the other statements, whatever they say
		f.Advice = "put it back: " + command(w.policyText(wanted))
		return f
	}
}

// identityStatements are those of the identity's policy in template.yaml.
func (w StackWanted) identityStatements() []statement {
	return []statement{{
		fieldSid: "ProveWhoItIs", fieldEffect: "Allow", fieldAction: "sts:GetWebIdentityToken", fieldResource: "*",
		fieldCondition: map[string]any{
			"ForAllValues:StringEquals": map[string]any{"sts:IdentityTokenAudience": []string{w.Audience}},
			"Null":                      map[string]any{"sts:IdentityTokenAudience": "false"},
			"NumericLessThanEquals":     map[string]any{"sts:DurationSeconds": "300"},
			"StringEquals":              map[string]any{"sts:SigningAlgorithm": "RS256"},
		},
	}}
}

func certificateChecks(p StackPorts, w StackWanted) []Check {
	checks := []Check{{
		Name: nameCertificate, Area: areaSecret, Looks: "whether there is a certificate that is valid, and when it expires",
		Run: seeing(p.Certificates, w.storeCertificate(), func(c StackCertificates) Finding { return w.judgeCertificates(c, p.Now()) }),
	}}
	if w.CertificateSecret != "" {
		return checks
	}
	checks = append(checks, Check{
		Name: nameCertificateKey, Area: areaSecret, Looks: "whether the certificate's key is an RSA key that is enabled and signs",
		Run: seeing(p.CertificateKey, "make another key and certificate: "+newKey, func(k StackKey) Finding {
			if !strings.HasPrefix(k.Spec, "RSA_") || k.Usage != "SIGN_VERIFY" {
				return Fail("make another key, and its certificate: "+newKey, "%s is %s for %s: Entra ID only accepts signatures with RSA",
					w.CertificateKey, k.Spec, k.Usage)
			}
			return judgeKey(k, w.CertificateKey, k.Spec, k.Usage)
		}),
	}, Check{
		Name: nameCertificateMatch, Area: areaSecret, After: []string{nameCertificateKey, nameCertificate},
		Looks: "whether the certificate is that of the key",
		Run:   seeing(p.CertificateMatch, "", w.judgeMatch),
	})
	if w.OwnCertificateKey {
		checks = append(checks, Check{
			Name: nameCertificatePolicy, Area: areaSecret,
			Looks: "whether the key's policy lets only the two functions sign, once there is a certificate",
			Run: seeing(p.CertificateKeyPolicy, "", func(text string) Finding {
				return w.judgePolicy(text, w.certificateStatements(), keyCommand(w.CertificateKey))
			}),
		})
	}
	return checks
}

const newKey = "aws kms create-key --key-spec RSA_2048 --key-usage SIGN_VERIFY"

// makeCertificate is the command that the output CertificateCommand has.
func (w StackWanted) makeCertificate() string {
	return paste("make one, upload cert.pem to the app registration, and deploy with CERTIFICATE=cert.pem",
		"packhorse credential certificate --kms-key %s --out cert.pem", shell(w.CertificateKey))
}

// storeCertificate is the command that stores certificate and key.
func (w StackWanted) storeCertificate() string {
	if w.CertificateSecret == "" {
		return w.makeCertificate()
	}
	return paste("put the certificate and its RSA private key as PEM into app.pem, and store them",
		"aws secretsmanager put-secret-value --secret-id %s --secret-string file://app.pem", shell(w.CertificateSecret))
}

func (w StackWanted) judgeCertificates(c StackCertificates, now time.Time) Finding {
	switch {
	case c.Deleted:
		return Fail(paste("restore it", "aws secretsmanager restore-secret --secret-id %s", shell(w.CertificateSecret)),
			"the secret with the certificate is marked for deletion")
	case c.Problem != "":
		return Fail(w.storeCertificate(), "the functions cannot use it: %s", c.Problem)
	case len(c.Certificates) == 0:
		return Fail(w.storeCertificate(), "there is none yet: nothing can be archived")
	}
	var valid []Proof
	for _, one := range c.Certificates {
		if !now.Before(one.From) && !now.After(one.Expires) {
			valid = append(valid, Proof{one.Name, one.Expires})
		}
	}
	if len(valid) == 0 {
		best := c.Certificates[0]
		if now.Before(best.From) {
			return Fail("wait, or check the clock where it was made", "%s is valid only from %s", best.Name, best.From.UTC().Format(time.RFC3339))
		}
		return Fail(w.storeCertificate(), "%s expired on %s", best.Name, best.Expires.UTC().Format(time.DateOnly))
	}
	text := valid[0].Name + " " + lasts(w.Kind, valid[0], now)
	if len(valid) > 1 {
		text += "; beside it " + named(w.Kind, valid[1:], now)
	}
	if valid[0].Expires.Sub(now) <= expiryWarned {
		return Warn(replacement(w.Kind), "%s", text)
	}
	return Good("%s", text)
}

func (w StackWanted) judgeMatch(foreign []string) Finding {
	if len(foreign) > 0 {
		return Fail(w.makeCertificate(), "not of the key %s: %s", w.CertificateKey, few(foreign))
	}
	return Good("it is")
}

// certificateStatements are those of the policy of the certificate's key in template.yaml.
func (w StackWanted) certificateStatements() []statement {
	functions := []string{w.PollRole, w.FetchRole}
	all := append(w.keyStatements(false), statement{
		fieldSid: "SignAssertions", fieldEffect: "Allow", fieldPrincipal: map[string]any{"AWS": functions},
		fieldAction: []string{"kms:GetPublicKey", "kms:Sign"}, fieldResource: "*",
	})
	if !w.Certified {
		return all
	}
	if w.BreakGlass != "" {
		functions = append(functions, w.BreakGlass)
	}
	return append(all, statement{
		fieldSid: "OnlyTheFunctionsSign", fieldEffect: "Deny", fieldPrincipal: map[string]any{"AWS": "*"},
		fieldAction: "kms:Sign", fieldResource: "*", fieldCondition: except(functions...),
	})
}
