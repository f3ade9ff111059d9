package doctor_test

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"packhorse/internal/cfn"
	"packhorse/internal/doctor"
	"packhorse/internal/tenant"
)

const identity = "arn:aws:iam::" + cfn.Account + ":role/pk-defender-identity"

// credentialPolicies are the template's policies of the identity and of the certificate's key, as JSON.
type credentialPolicies struct{ trust, identity, key string }

// credentialsOf deploys the template with each kind of credential once.
var credentialsOf = sync.OnceValues(func() (p credentialPolicies, err error) {
	template, err := template()
	if err != nil {
		return p, err
	}
	deploy := func(kind, certificate string) (cfn.Stack, error) {
		return template.Deploy(map[string]string{
			"DefenderTenantId": "7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11", "DefenderClientId": "2b7e1516-28ae-4d2a-abf7-158809cf4f3c",
			"DefenderCredential": kind, "DefenderCertificatePem": certificate,
		})
	}
	federated, err := deploy("federated", "")
	if err != nil {
		return p, err
	}
	certified, err := deploy("certificate", "-----BEGIN CERTIFICATE----- MIIB -----END CERTIFICATE-----")
	if err != nil {
		return p, err
	}
	role := federated["DefenderIdentity"].Properties
	policy := role["Policies"].([]any)[0].(map[string]any)["PolicyDocument"]
	for to, document := range map[*string]any{
		&p.trust: role["AssumeRolePolicyDocument"], &p.identity: policy, &p.key: certified["CertificateKey"].Properties["KeyPolicy"],
	} {
		text, err := json.Marshal(document)
		if err != nil {
			return p, err
		}
		*to = string(text)
	}
	return p, nil
})

// healthyAs returns a perfect stack with a kind of credential.
func healthyAs(t *testing.T, kind tenant.Kind) doctor.StackPorts {
	t.Helper()
	texts, err := credentialsOf()
	if err != nil {
		t.Fatal(err)
	}
	p := healthy(t)
	p.Want.Kind = kind
	p.Want.Identity, p.Want.Audience = identity, "api://AzureADTokenExchange"
	p.Federation = still(doctor.StackFederation{Enabled: true, Issuer: "https://i.example"})
	p.IdentityTrust, p.IdentityPolicy = still(texts.trust), still(texts.identity)
	p.Want.CertificateKey, p.Want.OwnCertificateKey, p.Want.Certified = "certkey", true, true
	p.CertificateKey = still(doctor.StackKey{State: "Enabled", Spec: "RSA_2048", Usage: "SIGN_VERIFY"})
	p.CertificateMatch, p.CertificateKeyPolicy = still([]string(nil)), still(texts.key)
	p.Certificates = still(doctor.StackCertificates{Certificates: []doctor.StackCertificate{lasting("B2", 300)}})
	return p
}

// lasting returns a certificate that expires in some days and an hour.
func lasting(name string, days int) doctor.StackCertificate {
	return doctor.StackCertificate{
		Name: "certificate " + name, From: now.Add(-time.Hour), Expires: now.Add(time.Duration(days)*24*time.Hour + time.Hour),
	}
}

// Each kind of credential has its own checks, and no other.
func TestHealthyCredentials(t *testing.T) {
	t.Parallel()
	for kind, want := range map[tenant.Kind][]string{
		tenant.ClientSecret: {"secret"},
		tenant.Federated:    {"federation", "identity.policy", "identity.trust"},
		tenant.Certificate:  {"certificate", "certificate.key", "certificate.match", "certificate.policy"},
	} {
		var got []string
		for name, r := range run(t, healthyAs(t, kind)) {
			if r.State != doctor.OK {
				t.Errorf("%s: %s is %s: %s; %s", kind, name, r.State, r.Text, r.Advice)
			}
			if r.Area == "Credential" {
				got = append(got, name)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s has the checks %q, want %q", kind, got, want)
		}
	}
	p := healthyAs(t, tenant.Certificate)
	p.Want.CertificateSecret, p.Want.CertificateKey = "pem", ""
	if r := run(t, p); r["certificate"].State != doctor.OK || r["certificate.key"].Name != "" {
		t.Errorf("a certificate in Secrets Manager: %+v", r["certificate"])
	}
	if r := run(t, healthyAs(t, tenant.Federated))["federation"]; !strings.HasSuffix(r.Text,
		"issuer https://i.example, subject "+identity+", audience api://AzureADTokenExchange") {
		t.Errorf("the values to compare: %s", r.Text)
	}
}

func TestBrokenCredentials(t *testing.T) {
	t.Parallel()
	type S = doctor.StackPorts
	certificates := func(all ...doctor.StackCertificate) func(*S) {
		return func(p *S) { p.Certificates = still(doctor.StackCertificates{Certificates: all}) }
	}
	trust := func(old, replacement string) func(*S) {
		return func(p *S) { edit(&p.IdentityTrust, func(s *string) { *s = strings.Replace(*s, old, replacement, 1) }) }
	}
	const f, c = tenant.Federated, tenant.Certificate
	for _, test := range []struct {
		kind   tenant.Kind
		check  string
		state  doctor.State
		says   string
		breaks func(*S)
	}{
		{f, "federation", doctor.Failed, "aws iam enable-outbound-web-identity-federation", func(p *S) {
			p.Federation = still(doctor.StackFederation{})
		}},
		{f, "identity.trust", doctor.Failed, "REVERT_DRIFT", func(p *S) {
			p.IdentityTrust = failing[string](&doctor.MissingError{What: "the role"})
		}},
		{f, "identity.trust", doctor.Failed, "OnlyTheFunctions", trust(roles["pk-poll"], "AROAEXAMPLE")}, // re-created
		{f, "identity.trust", doctor.Failed, "update-assume-role-policy --role-name pk-defender-identity", trust(`"Statement":[`,
			`"Statement":[{"Sid":"Me","Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":"arn:aws:iam::1:user/x"}},`)},
		{f, "identity.policy", doctor.Failed, "put-role-policy --role-name pk-defender-identity", func(p *S) {
			edit(&p.IdentityPolicy, func(s *string) { *s = strings.Replace(*s, "api://AzureADTokenExchange", "api://other", 1) })
		}},
		{c, "certificate", doctor.Failed, "packhorse credential certificate --kms-key certkey --out cert.pem", certificates()},
		{c, "certificate", doctor.Failed, "certificate A1 expired on 2026-03-02", certificates(lasting("A1", -2))},
		{c, "certificate", doctor.Failed, "valid only from", certificates(doctor.StackCertificate{
			Name: "n", From: now.Add(time.Hour), Expires: now.Add(2 * time.Hour),
		})},
		{c, "certificate", doctor.Warning, "A1 expires on 2026-03-16 (in 12 days)", certificates(lasting("A1", 12))},
		{c, "certificate", doctor.OK, "beside it certificate A1, which expires on 2026-03-16", certificates(lasting("B2", 90), lasting("A1", 12))},
		{c, "certificate", doctor.OK, "B2 expires", certificates(lasting("B2", 90), lasting("A1", -12))},
		{c, "certificate", doctor.Failed, "restore-secret --secret-id pem", func(p *S) {
			p.Want.CertificateSecret, p.Certificates = "pem", still(doctor.StackCertificates{Deleted: true})
		}},
		{c, "certificate", doctor.Failed, "put-secret-value --secret-id pem", func(p *S) {
			p.Want.CertificateSecret, p.Certificates = "pem", still(doctor.StackCertificates{Problem: "of another private key"})
		}},
		{c, "certificate.key", doctor.Failed, "enable-key", func(p *S) {
			edit(&p.CertificateKey, func(k *doctor.StackKey) { k.State = "Disabled" })
		}},
		{c, "certificate.key", doctor.Failed, "only accepts signatures with RSA", func(p *S) {
			edit(&p.CertificateKey, func(k *doctor.StackKey) { k.Spec = "ECC_NIST_P256" })
		}},
		{c, "certificate.key", doctor.Failed, "create-key --key-spec RSA_2048", func(p *S) {
			edit(&p.CertificateKey, func(k *doctor.StackKey) { k.Usage = "ENCRYPT_DECRYPT" })
		}},
		{c, "certificate.match", doctor.Failed, "not of the key certkey: certificate X", func(p *S) {
			p.CertificateMatch = still([]string{"certificate X"})
		}},
		{c, "certificate.policy", doctor.Failed, "OnlyTheFunctionsSign", func(p *S) {
			edit(&p.CertificateKeyPolicy, func(s *string) { *s = strings.Replace(*s, `"Deny"`, `"Allow"`, 2) })
		}},
	} {
		p := healthyAs(t, test.kind)
		test.breaks(&p)
		results := run(t, p)
		r := results[test.check]
		if r.State != test.state || !strings.Contains(r.Text+" "+r.Advice, test.says) {
			t.Errorf("%s is %s, want %s with %q: %s; %s", test.check, r.State, test.state, test.says, r.Text, r.Advice)
		}
		for name, other := range results {
			if name != test.check && other.State != doctor.OK && !strings.HasPrefix(other.Text, "needs ") {
				t.Errorf("%s, after %s: %s is %s: %s", test.check, test.says, name, other.State, other.Text)
			}
		}
		if skips := results["sweeps"].State == doctor.Skipped; skips != (test.state == doctor.Failed && test.check != "certificate.policy") {
			t.Errorf("%s, after %s: sweeps is %s", test.check, test.says, results["sweeps"].State)
		}
	}
	// The advice about the trust policy trusts nobody but the functions.
	p := healthyAs(t, f)
	trust(`"Statement":[`, `"Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":"*"},`)(&p)
	if r := run(t, p)["identity.trust"]; r.State != doctor.Failed || strings.Contains(r.Advice, `"*"`) {
		t.Errorf("%s: %s", r.State, r.Advice)
	}
	// Who may not look has seen nothing fail: the sweeps still say whether the credential works.
	p = healthyAs(t, f)
	p.Federation = failing[doctor.StackFederation](&doctor.DeniedError{Action: "iam:X"})
	if r := run(t, p); r["federation"].State != doctor.Skipped || r["sweeps"].State != doctor.OK {
		t.Errorf("federation is %s, sweeps is %s", r["federation"].State, r["sweeps"].State)
	}
	// Before there is a certificate, the key has to sign its own.
	p = healthyAs(t, c)
	p.Want.Certified = false
	edit(&p.CertificateKeyPolicy, func(s *string) {
		*s = (*s)[:strings.Index(*s, `,{"Action":"kms:Sign","Condition"`)] + `]}`
	})
	if r := run(t, p)["certificate.policy"]; r.State != doctor.OK {
		t.Errorf("%s: %s", r.State, r.Text)
	}
}
