package main

import (
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"

	"packhorse/internal/entra"
	"packhorse/internal/fetch"
	"packhorse/internal/mde/mdesim"
	"packhorse/internal/stssim"
)

const (
	identityRole = "arn:aws:iam::123456789012:role/packhorse-defender-identity"
	audience     = "api://AzureADTokenExchange"
)

// prover is a site whose app proves itself without a client secret.
type prover struct {
	*site

	sts      *stssim.Server
	key, pem string // of the certificate in KMS
	trusts   mdesim.Registration
}

func openProver(t *testing.T, kind string) *prover {
	t.Helper()
	issuer, err := stssim.NewIssuer("123456789012")
	if err != nil {
		t.Fatal(err)
	}
	simulated := mdesim.Defaults()
	simulated.Keys = issuer.Keys
	p := &prover{site: openTenantSite(t, simulated)}
	p.sts = stssim.New(issuer, "arn:aws:iam::123456789012:role/the-function", time.Now)
	p.meddle = p.vouch
	delete(p.environ, "DEFENDER_SECRET_ID")
	p.environ["DEFENDER_CREDENTIAL"] = kind
	if kind == "federated" {
		p.environ["DEFENDER_IDENTITY_ROLE"] = identityRole
		p.trusts.Federations = []mdesim.Federation{{Issuer: issuer.URL, Subject: identityRole, Audience: audience}}
	} else {
		p.key = signingKey(t, p.config, kmstypes.KeySpecRsa2048, kmstypes.KeyUsageTypeSignVerify)
		p.pem = p.certificate(p.key, time.Now().Add(time.Hour))
		p.environ["DEFENDER_CERTIFICATE_KEY_ID"], p.environ["DEFENDER_CERTIFICATE_PEM"] = p.key, p.pem
		p.trusts.Certificates = []*x509.Certificate{parsed(t, p.pem)}
	}
	p.trust(p.trusts)
	return p
}

// certificate returns a certificate of a key in KMS.
func (p *prover) certificate(key string, expires time.Time) string {
	p.t.Helper()
	made, err := entra.NewKMSKey(kms.NewFromConfig(p.config), key).SelfSigned(p.t.Context(), "packhorse",
		time.Now().Add(-2*time.Hour), expires)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(made.PEM)
}

func parsed(t *testing.T, text string) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

// trust replaces what the app registration accepts.
func (p *prover) trust(r mdesim.Registration) {
	p.t.Helper()
	if err := p.tenant.SetRegistration(r); err != nil {
		p.t.Fatal(err)
	}
}

// vouch answers calls of the STS that the local cloud lacks.
func (p *prover) vouch(w http.ResponseWriter, r *http.Request) bool {
	if r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" ||
		!strings.Contains(r.Header.Get("Authorization"), "/sts/aws4_request") || r.Header.Get("X-Amz-Target") != "" {
		return false
	}
	p.sts.ServeHTTP(w, r)
	return true
}

// also adds a refusal of KMS.
func (p *prover) also(operation, code string) {
	refused := refuse(operation, code, http.StatusBadRequest)
	p.meddle = func(w http.ResponseWriter, r *http.Request) bool { return refused(w, r) || p.vouch(w, r) }
}

// wrongCredential is one thing that is wrong on either side.
type wrongCredential struct {
	wrong func(p *prover) map[string]string // returns changes of the environment
	want  []string                          // in the error: what is wrong, and what to do
}

func faulty(f stssim.Faults) func(*prover) map[string]string {
	return func(p *prover) map[string]string { p.sts.SetFaults(f); return nil }
}

func changed(pairs ...string) func(*prover) map[string]string {
	return func(*prover) map[string]string {
		change := map[string]string{}
		for pair := range slices.Chunk(pairs, 2) {
			change[pair[0]] = pair[1]
		}
		return change
	}
}

func refusing(operation, code string) func(*prover) map[string]string {
	return func(p *prover) map[string]string { p.also(operation, code); return nil }
}

func trusting(change func(p *prover, r *mdesim.Registration)) func(*prover) map[string]string {
	return func(p *prover) map[string]string {
		r := p.tenant.Registration()
		change(p, &r)
		p.trust(r)
		return nil
	}
}

var wrongFederations = map[string]wrongCredential{
	"the account's switch is off": {faulty(stssim.Faults{Disabled: true}), []string{"OutboundWebIdentityFederationDisabled", "aws iam enable-outbound-web-identity-federation"}},
	"the role is denied":          {faulty(stssim.Faults{Denied: "AssumeRole"}), []string{"AccessDenied", identityRole, "sts:AssumeRole"}},
	"the token is denied":         {faulty(stssim.Faults{Denied: "GetWebIdentityToken"}), []string{"AccessDenied", identityRole, "sts:GetWebIdentityToken", audience}},
	"no token":                    {faulty(stssim.Faults{Empty: true}), []string{"without an identity token"}},
	"no federated credential": {trusting(func(_ *prover, r *mdesim.Registration) { r.Federations = nil }),
		[]string{"AADSTS70021", "Federated credentials", "tokens.sts.global.api.aws", identityRole, audience}},
	"another subject":  {faulty(stssim.Faults{Subject: identityRole + "2"}), []string{"AADSTS7002", identityRole + "2"}},
	"another issuer":   {trusting(func(_ *prover, r *mdesim.Registration) { r.Federations[0].Issuer = "https://example.com" }), []string{"AADSTS70021", "tokens.sts.global.api.aws"}},
	"another cloud":    {changed("DEFENDER_CLOUD", "gcc-high"), []string{"AADSTS7002", "api://AzureADTokenExchangeUSGov"}},
	"an expired token": {faulty(stssim.Faults{Lifetime: -time.Hour}), []string{"AADSTS700024", "clock"}},
	"a forged token":   {faulty(stssim.Faults{Forged: true}), []string{"AADSTS"}},
	"two at once":      {changed("DEFENDER_CREDENTIAL", "", "DEFENDER_SECRET_ID", "s"), []string{"DEFENDER_IDENTITY_ROLE", "DEFENDER_SECRET_ID"}},
	"another kind":     {changed("DEFENDER_CREDENTIAL", "password"), []string{"DEFENDER_CREDENTIAL", "federated, certificate or secret"}},
	"not a role":       {changed("DEFENDER_IDENTITY_ROLE", "packhorse"), []string{"DEFENDER_IDENTITY_ROLE"}},
}

var wrongCertificates = map[string]wrongCredential{
	"not uploaded": {trusting(func(_ *prover, r *mdesim.Registration) { r.Certificates = nil }), []string{"AADSTS700027", "upload", "thumbprint"}},
	"expired": {func(p *prover) map[string]string {
		return map[string]string{"DEFENDER_CERTIFICATE_PEM": p.certificate(p.key, time.Now().Add(-time.Hour))}
	}, []string{"DEFENDER_CERTIFICATE_PEM", "expired", "thumbprint"}},
	"of another key": {func(p *prover) map[string]string {
		return map[string]string{"DEFENDER_CERTIFICATE_KEY_ID": signingKey(p.t, p.config, kmstypes.KeySpecRsa2048, kmstypes.KeyUsageTypeSignVerify)}
	}, []string{"is not that of the key", "packhorse credential certificate"}},
	"not an RSA key": {func(p *prover) map[string]string {
		return map[string]string{"DEFENDER_CERTIFICATE_KEY_ID": p.environ["SIGNING_KEY_ID"]}
	}, []string{"not an RSA key", "RSA_2048"}},
	"the key is disabled":   {refusing("Sign", "DisabledException"), []string{"DisabledException", "enable-key"}},
	"signing is denied":     {refusing("Sign", "AccessDeniedException"), []string{"AccessDeniedException", "kms:Sign"}},
	"the key does not sign": {refusing("Sign", "InvalidKeyUsageException"), []string{"InvalidKeyUsageException", "SIGN_VERIFY"}},
	"no certificate yet":    {changed("DEFENDER_CERTIFICATE_PEM", ""), []string{"DEFENDER_CERTIFICATE_PEM", "packhorse credential certificate"}},
	"no key":                {changed("DEFENDER_CERTIFICATE_KEY_ID", ""), []string{"DEFENDER_CERTIFICATE_KEY_ID"}},
	"a private key beside it": {func(p *prover) map[string]string {
		return map[string]string{"DEFENDER_CERTIFICATE_PEM": p.pem + "-----BEGIN PRIVATE KEY-----\nQUFBQUFBQUFBQUFB\n-----END PRIVATE KEY-----\n"}
	}, []string{"DEFENDER_CERTIFICATE_PEM", "is not a certificate"}},
	"a file":               {changed("DEFENDER_CERTIFICATE_FILE", "/tmp/app.pem"), []string{"DEFENDER_CERTIFICATE_FILE", "unset it"}},
	"the secret, too":      {changed("DEFENDER_CLIENT_SECRET", "a~b"), []string{"DEFENDER_CLIENT_SECRET", "unset it"}},
	"two certificates":     {changed("DEFENDER_CERTIFICATE_SECRET_ID", "s"), []string{"DEFENDER_CERTIFICATE_SECRET_ID", "DEFENDER_CERTIFICATE_KEY_ID"}},
	"a client secret, too": {changed("DEFENDER_CREDENTIAL", "", "DEFENDER_SECRET_ID", "s"), []string{"DEFENDER_CERTIFICATE_KEY_ID", "DEFENDER_SECRET_ID"}},
}

// secrets matches what no error may show: tokens and assertions, and the body of a private key.
var secrets = regexp.MustCompile(`eyJ|QUFBQUFB|Bearer `)

// Whatever is wrong with a credential is one clear error before the first call to Defender: it costs no budget and
// loses nothing, and once it is fixed the next package is stored.
func TestWrongCredential(t *testing.T) {
	for kind, all := range map[string]map[string]wrongCredential{"federated": wrongFederations, "certificate": wrongCertificates} {
		for name, test := range all {
			t.Run(kind+"/"+name, func(t *testing.T) {
				p := openProver(t, kind)
				answer, trouble := p.invoke(test.wrong(p))
				if answer.Outcome == fetch.OutcomeArchived || secrets.MatchString(trouble) ||
					slices.ContainsFunc(test.want, func(w string) bool { return !strings.Contains(trouble, w) }) {
					t.Errorf("got %+v, %q; want an error with %q", answer, trouble, test.want)
				}
				if calls := p.tenant.Judge().Verdict().Calls; calls[mdesim.KindPackageURI] != 0 || calls[mdesim.KindList] != 0 {
					t.Errorf("Defender was called: %v", calls)
				}
				p.sts.SetFaults(stssim.Faults{})
				p.meddle = p.vouch
				p.trust(p.trusts)
				p.checkNotLost()
				p.addAction(2) // the first may only be due later
				if answer, trouble = p.invoke(nil); answer.Outcome != fetch.OutcomeArchived {
					t.Errorf("after the fault was fixed: %+v, %q", answer, trouble)
				}
			})
		}
	}
}

// While a certificate is replaced, two are in the setting: an expired one does no harm, and one that is not
// uploaded yet gives way to the other.
func TestTwoCertificates(t *testing.T) {
	for name, expires := range map[string]time.Duration{"an expired one": -time.Hour, "a new one": 48 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			p := openProver(t, "certificate")
			other := p.certificate(p.key, time.Now().Add(expires))
			answer, trouble := p.invoke(map[string]string{"DEFENDER_CERTIFICATE_PEM": other + p.pem})
			if answer.Outcome != fetch.OutcomeArchived {
				t.Errorf("got %+v, %q", answer, trouble)
			}
		})
	}
}
