package doctor_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"packhorse/internal/doctor"
	"packhorse/internal/tenant"
)

// reachable returns a tenant that Entra ID gives a token for this credential.
func reachable(c doctor.Credential) doctor.TenantPorts {
	answers := still(doctor.Answer{Host: "h", At: now, ServerAt: now})
	return doctor.TenantPorts{
		Now:      func() time.Time { return now },
		Settings: func() doctor.SettingsState { return doctor.SettingsState{Tenant: "t", Cloud: "commercial"} },
		Set:      func(string, string) string { return "" }, Authority: answers, API: answers,
		Links: still([]doctor.Answer{{Host: "l"}}), Token: still(struct{}{}), Credential: still(c),
		Roles: still([]string{"Machine.Read.All"}), List: still(3), Archived: still(now), Refused: still(doctor.RefusedLinks{}),
		Forbidden: still(doctor.Forbidden{}),
	}
}

// others checks that nothing but the check and those that need it has anything to say, and returns the check's result.
func others(t *testing.T, p doctor.TenantPorts, check string) doctor.Result {
	t.Helper()
	var found doctor.Result
	for _, r := range doctor.Run(t.Context(), doctor.Tenant(p), func(doctor.Result) {}) {
		switch {
		case r.Name == check:
			found = r
		case r.State != doctor.OK && !strings.HasPrefix(r.Text, "needs "):
			t.Errorf("%s is %s: %s", r.Name, r.State, r.Text)
		}
	}
	return found
}

func TestCredential(t *testing.T) {
	t.Parallel()
	in := func(days int) time.Time { return now.Add(time.Duration(days)*24*time.Hour + time.Hour) }
	proofs := func(all ...doctor.Proof) []doctor.Proof { return all }
	old, replacement := doctor.Proof{Name: "certificate A1", Expires: in(12)}, doctor.Proof{Name: "certificate B2", Expires: in(300)}
	for name, c := range map[string]struct {
		credential doctor.Credential
		state      doctor.State
		says       []string
	}{
		"federated": {
			doctor.Credential{Kind: tenant.Federated, Accepted: "the identity r", Proofs: proofs(doctor.Proof{Name: "the identity r"})},
			doctor.OK, []string{"federated: Entra ID accepts the identity r, which never expires"},
		},
		"another identity": {
			doctor.Credential{Kind: tenant.Federated, Accepted: "the identity r", Proofs: proofs(doctor.Proof{Name: "the identity s"})},
			doctor.Warning, []string{"now vouches for another", "DEFENDER_IDENTITY_ROLE"},
		},
		"certificate": {
			doctor.Credential{Kind: tenant.Certificate, Accepted: "certificate B2", Proofs: proofs(replacement)},
			doctor.OK, []string{"certificate B2, which expires on 2026-12-29 (in 300 days)"},
		},
		"expires soon": {
			doctor.Credential{Kind: tenant.Certificate, Accepted: "certificate A1", Proofs: proofs(old)},
			doctor.Warning, []string{"expires on 2026-03-16 (in 12 days)", "without a gap"},
		},
		"overlap": {
			doctor.Credential{Kind: tenant.Certificate, Accepted: "certificate B2", Proofs: proofs(replacement, old)},
			doctor.OK, []string{"accepts certificate B2", "beside it certificate A1, which expires on 2026-03-16"},
		},
		"replacement unknown": {
			doctor.Credential{Kind: tenant.Certificate, Accepted: "certificate A1", Proofs: proofs(replacement, old)},
			doctor.Warning, []string{"not its replacement yet: certificate B2", "upload it to the app registration", ": certificate B2"},
		},
		"replaced between the looks": {
			doctor.Credential{Kind: tenant.Certificate, Accepted: "certificate A1", Proofs: proofs(replacement)},
			doctor.Warning, []string{"replaced meanwhile"},
		},
		"secret without a date": {
			doctor.Credential{Kind: tenant.ClientSecret, Accepted: "the secret", Proofs: proofs(doctor.Proof{Name: "the secret"})},
			doctor.OK, []string{`no "expires" beside it`},
		},
		"secret, expired by its date": {
			doctor.Credential{Kind: tenant.ClientSecret, Accepted: "the secret", Proofs: proofs(doctor.Proof{Name: "the secret", Expires: now})},
			doctor.Failed, []string{"expired on 2026-03-04", "Client secret"},
		},
		"secret refused, previous one accepted": {
			doctor.Credential{Kind: tenant.ClientSecret, Accepted: "the previous secret",
				Proofs: proofs(doctor.Proof{Name: "the secret", Expires: in(90)}, doctor.Proof{Name: "the previous secret"})},
			doctor.Warning, []string{"not its replacement yet: the secret, which expires on 2026-06-02", "refuses the current one"},
		},
		"previous secret still stored": {
			doctor.Credential{Kind: tenant.ClientSecret, Accepted: "the secret",
				Proofs: proofs(doctor.Proof{Name: "the secret", Expires: in(90)}, doctor.Proof{Name: "the previous secret"})},
			doctor.OK, []string{"beside it the previous secret"},
		},
	} {
		r := others(t, reachable(c.credential), "credential")
		if (r.State == doctor.OK) != (r.Advice == "") || strings.Contains(r.Text, "\n") {
			t.Errorf("%s: %s, %q, advice %q", name, r.State, r.Text, r.Advice)
		}
		for _, says := range c.says {
			if r.State != c.state || !strings.Contains(r.Text+" "+r.Advice, says) {
				t.Errorf("%s: %s, want %s with %q: %s; %s", name, r.State, c.state, says, r.Text, r.Advice)
			}
		}
	}
}

// A refused token is one failed check, with Entra ID's own advice; whoever may not use a stack's credential has not
// seen it fail.
func TestTokenRefused(t *testing.T) {
	t.Parallel()
	refuses := func(err error) func(context.Context) (struct{}, error) {
		return func(context.Context) (struct{}, error) { return struct{}{}, err }
	}
	for says, c := range map[string]struct {
		err   error
		state doctor.State
	}{
		"AADSTS700213 issuer i, subject s, audience a": {
			&doctor.RefusedError{Text: "AADSTS700213", Advice: "issuer i, subject s, audience a"}, doctor.Failed,
		},
		"only the stack's functions may use its credential (AssumeRole: AccessDenied): the check sweeps says whether they can ": {
			&doctor.ForeignError{Text: "AssumeRole: AccessDenied"}, doctor.Skipped,
		},
		"cannot look: no route ": {errors.New("no route"), doctor.Skipped},
	} {
		p := reachable(doctor.Credential{})
		p.Token = refuses(c.err)
		if r := others(t, p, "token"); r.State != c.state || r.Text+" "+r.Advice != says {
			t.Errorf("%s: %s, %q, %q", says, r.State, r.Text, r.Advice)
		}
	}
	p := reachable(doctor.Credential{})
	p.Credential = failing[doctor.Credential](errors.New("no route"))
	if r := others(t, p, "credential"); r.State != doctor.Skipped {
		t.Errorf("%s: %s", r.State, r.Text)
	}
}
