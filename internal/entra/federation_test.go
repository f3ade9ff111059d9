package entra_test

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"packhorse/internal/entra"
	"packhorse/internal/investigation"
	"packhorse/internal/mde/mdesim"
	"packhorse/internal/stssim"
)

const (
	identityRole = "arn:aws:iam::123456789012:role/packhorse-defender-identity"
	audience     = "api://AzureADTokenExchange"
)

// federated is an authority that trusts an AWS account for the role.
type federated struct {
	*authority
	sts    *stssim.Server
	source *entra.TokenSource
}

func startFederated(t *testing.T) *federated {
	t.Helper()
	issuer, err := stssim.NewIssuer("123456789012")
	if err != nil {
		t.Fatal(err)
	}
	a := startAuthorityOf(t, func(c *mdesim.Config) { c.Keys, c.ClientSecret = issuer.Keys, "" })
	f := &federated{authority: a, sts: stssim.New(issuer, identityRole, a.clock.now)}
	f.trust(t, mdesim.Federation{Issuer: issuer.URL, Subject: identityRole, Audience: audience})
	server := httptest.NewServer(f.sts)
	t.Cleanup(server.Close)
	client := sts.NewFromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: &server.URL,
		Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
	}, func(o *sts.Options) { o.RetryMaxAttempts = 1 })
	f.source = entra.NewTokenSource(a.application, entra.NewFederation(client, identityRole, audience), a.base, a.clock.now)
	return f
}

// trust replaces the federated credentials of the app registration.
func (f *federated) trust(t *testing.T, all ...mdesim.Federation) {
	t.Helper()
	if err := f.SetRegistration(mdesim.Registration{Federations: all}); err != nil {
		t.Fatal(err)
	}
}

// TestFederated: AWS vouches for the role, and Entra ID gives a token; each token takes a new assertion.
func TestFederated(t *testing.T) {
	t.Parallel()
	f := startFederated(t)
	for n := range 3 {
		if token, err := f.source.Token(t.Context()); err != nil || token == "" {
			t.Fatalf("token %d: %v", n, err)
		}
		f.clock.move(2 * time.Hour)
	}
	if got := f.sts.Calls("GetWebIdentityToken"); got != 3 {
		t.Errorf("AWS vouched %d times, want 3", got)
	}
}

// TestFederatedRefusals: each refusal names both sides' values, and shows no assertion.
func TestFederatedRefusals(t *testing.T) {
	t.Parallel()
	other := mdesim.Federation{Issuer: "https://other.example", Subject: identityRole, Audience: audience}
	for name, test := range map[string]struct {
		spoil func(*testing.T, *federated)
		code  int
		says  []string
	}{
		"other issuer": {func(t *testing.T, f *federated) { f.trust(t, other) }, 700211,
			[]string{"issuer https://123456789012.tokens.sts.global.api.aws", "subject " + identityRole, "audience " + audience}},
		"other subject": {func(_ *testing.T, f *federated) { f.sts.SetFaults(stssim.Faults{Subject: "arn:aws:iam::1:role/x"}) }, 700213,
			[]string{"subject arn:aws:iam::1:role/x"}},
		"other audience": {func(_ *testing.T, f *federated) { f.sts.SetFaults(stssim.Faults{Audience: "api://Else"}) }, 700212,
			[]string{"audience api://Else"}},
		"expired":  {func(_ *testing.T, f *federated) { f.sts.SetFaults(stssim.Faults{Lifetime: -time.Hour}) }, 700024, []string{"clock"}},
		"forged":   {func(_ *testing.T, f *federated) { f.sts.SetFaults(stssim.Faults{Forged: true}) }, 700030, nil},
		"disabled": {func(_ *testing.T, f *federated) { f.sts.SetFaults(stssim.Faults{Disabled: true}) }, 0, []string{"aws iam enable-outbound-web-identity-federation"}},
		"denied": {func(_ *testing.T, f *federated) { f.sts.SetFaults(stssim.Faults{Denied: "GetWebIdentityToken"}) }, 0,
			[]string{"allow sts:GetWebIdentityToken to the role " + identityRole}},
		"empty": {func(_ *testing.T, f *federated) { f.sts.SetFaults(stssim.Faults{Empty: true}) }, 0, []string{"without an identity token"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := startFederated(t)
			test.spoil(t, f)
			_, err := f.source.Token(t.Context())
			refused, ok := errors.AsType[*entra.Error](err)
			if !ok || refused.Code != test.code || strings.Contains(err.Error(), "eyJ") {
				t.Fatalf("got %v", err)
			}
			for _, want := range test.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
		})
	}
}

// TestFederationIsLearned: a new federated credential is unknown for some minutes. That passes by itself for ten
// minutes, and then needs a person.
func TestFederationIsLearned(t *testing.T) {
	t.Parallel()
	f := startFederated(t)
	trusted := f.Registration().Federations
	f.trust(t)
	cause := func() investigation.Cause {
		_, err := f.source.Token(t.Context())
		if err == nil {
			return ""
		}
		return investigation.CauseOf(err)
	}
	for range 10 {
		if got := cause(); got != investigation.CauseNetwork {
			t.Errorf("at first: cause %q", got)
		}
		f.clock.move(time.Minute)
	}
	if got := cause(); got != investigation.CauseCredential {
		t.Errorf("after ten minutes: cause %q", got)
	}
	f.trust(t, trusted...)
	f.clock.move(time.Minute)
	if got := cause(); got != "" {
		t.Errorf("once it is known: cause %q", got)
	}
}
