package doctor_test

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"packhorse/internal/doctor"
)

// finds runs all checks and returns the result of one.
func finds(t *testing.T, checks []doctor.Check, name string) doctor.Result {
	t.Helper()
	for _, r := range doctor.Run(t.Context(), checks, func(doctor.Result) {}) {
		if r.Name == name {
			return r
		}
	}
	t.Fatalf("there is no check %s", name)
	return doctor.Result{}
}

// expects compares a result. Failures and warnings must say what to do, and an ok must not.
func expects(t *testing.T, r doctor.Result, state doctor.State, says, advises string) {
	t.Helper()
	if r.State != state || !strings.Contains(r.Text, says) || !strings.Contains(r.Advice, advises) {
		t.Errorf("%s is %s: %s\n\tadvice: %s\n\twant %s with %q and %q", r.Name, r.State, r.Text, r.Advice, state, says, advises)
	}
	if (state == doctor.Failed || state == doctor.Warning) && r.Advice == "" || state == doctor.OK && r.Advice != "" {
		t.Errorf("%s is %s with the advice %q", r.Name, r.State, r.Advice)
	}
	if strings.ContainsAny(r.Text+r.Advice, "\n\r") {
		t.Errorf("%s has more than a line: %q", r.Name, r.Text+r.Advice)
	}
}

func answer(host string) doctor.Answer {
	return doctor.Answer{
		Host: host, Variable: "DEFENDER_API_URL", ServerAt: now.Truncate(time.Second), At: now, Took: 100 * time.Millisecond,
	}
}

// tenantPorts see a tenant with which all is well.
func tenantPorts() doctor.TenantPorts {
	return doctor.TenantPorts{
		Now:       func() time.Time { return now },
		Settings:  func() doctor.SettingsState { return doctor.SettingsState{Tenant: "t", Cloud: "commercial"} },
		Set:       func(variable, value string) string { return "export " + variable + "=" + value },
		Authority: still(answer("login.example")), API: still(answer("api.example")),
		Links: still([]doctor.Answer{answer("links.example")}),
		Token: still(struct{}{}), Credential: still(doctor.Credential{
			Kind: "secret", Accepted: "the client secret", Proofs: []doctor.Proof{{Name: "the client secret"}},
		}),
		Roles: still([]string{"Machine.Read.All"}), List: still(3),
		Archived: still(now.Add(-time.Hour)), Refused: still(doctor.RefusedLinks{}), Forbidden: still(doctor.Forbidden{}),
	}
}

// ahead is an answer of a host whose clock is ahead of ours.
func ahead(by, took time.Duration) doctor.Answer {
	a := answer("api.example")
	a.ServerAt, a.Took = a.At.Add(by).Truncate(time.Second), took
	return a
}

func TestTenant(t *testing.T) {
	t.Parallel()
	type P = doctor.TenantPorts
	refused := &doctor.RefusedError{Text: "AADSTS7000215: no", Advice: "set the secret's value"}
	obstacle := errors.New("the line is cut")
	away := func(err error) doctor.Look[doctor.Answer] {
		a := answer("api.example")
		a.Err, a.ServerAt = err, time.Time{}
		return still(a)
	}
	for _, c := range []struct {
		name, check, says, advises string
		state                      doctor.State
		with                       func(*P)
	}{
		{"settings", "settings", "tenant t in the commercial cloud", "", doctor.OK, func(*P) {}},
		{"nothing set", "settings", "nothing is set yet", "export DEFENDER_TENANT_ID=…", doctor.Failed, func(p *P) {
			p.Settings = func() doctor.SettingsState { return doctor.SettingsState{Unset: true, Problems: []string{"a", "b"}} }
		}},
		{"one wrong", "settings", "LOOKBACK is 1h", "set it right", doctor.Failed, func(p *P) {
			p.Settings = func() doctor.SettingsState { return doctor.SettingsState{Problems: []string{"LOOKBACK is 1h"}} }
		}},
		{"two wrong", "settings", "2 are wrong: A; B", "set them right", doctor.Failed, func(p *P) {
			p.Settings = func() doctor.SettingsState { return doctor.SettingsState{Problems: []string{"A", "B"}} }
		}},
		{"without settings", "network.api", "needs settings, which failed", "", doctor.Skipped, func(p *P) {
			p.Settings = func() doctor.SettingsState { return doctor.SettingsState{Problems: []string{"A"}} }
		}},

		{"trusted", "network.trust", "3 hosts", "", doctor.OK, func(*P) {}},
		{"unknown root", "network.trust", "nobody trusted", "DEFENDER_CA_PEM", doctor.Failed, func(p *P) {
			p.API = away(x509.UnknownAuthorityError{})
		}},
		{"expired", "network.trust", "not valid", "clock", doctor.Failed, func(p *P) {
			p.API = away(x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.Expired})
		}},
		{"proxy", "network.api", "api.example answers through the proxy proxy.example:3128", "", doctor.OK, func(p *P) {
			a := answer("api.example")
			a.Proxy = "proxy.example:3128"
			p.API = still(a)
		}},
		{"no name", "network.api", "cannot be resolved", "DEFENDER_API_URL", doctor.Failed, func(p *P) {
			p.API = away(&net.DNSError{Name: "api.example", IsNotFound: true})
		}},
		{"other host", "network.api", "for another host", "DEFENDER_API_URL", doctor.Failed, func(p *P) {
			p.API = away(x509.HostnameError{Certificate: &x509.Certificate{}, Host: "api.example"})
		}},
		{"no answer", "network.authority", "does not answer", "firewall", doctor.Failed, func(p *P) {
			p.Authority = away(context.DeadlineExceeded)
		}},
		{"cut", "network.authority", "the line is cut", "firewall", doctor.Failed, func(p *P) { p.Authority = away(obstacle) }},
		{"a link host", "network.links", "links.example answers", "", doctor.OK, func(*P) {}},
		{"a link host away", "network.links", "cannot be resolved", "check the name", doctor.Failed, func(p *P) {
			a := answer("links.example")
			a.Err = &net.DNSError{Name: "links.example"}
			p.Links = still([]doctor.Answer{a})
		}},
		{"suffixes", "network.links", "all link hosts are suffixes", "", doctor.Skipped, func(p *P) { p.Links = still([]doctor.Answer{}) }},

		{"right", "clock", "slow", "", doctor.OK, func(*P) {}},
		{"a slow answer", "clock", "slow", "", doctor.OK, func(p *P) { // may be right, so nothing is said
			p.API, p.Authority, p.Links = still(ahead(6*time.Second, 14*time.Second)), still(ahead(6*time.Second, 14*time.Second)), still([]doctor.Answer{})
		}},
		{"behind", "clock", "s slow", "timedatectl", doctor.Failed, func(p *P) {
			p.API, p.Authority, p.Links = still(ahead(5*time.Minute, 0)), still(ahead(5*time.Minute, 0)), still([]doctor.Answer{})
		}},
		{"before", "clock", "at least 8 s fast", "timedatectl", doctor.Warning, func(p *P) {
			p.API, p.Authority, p.Links = still(ahead(-9*time.Second, 0)), still(ahead(-9*time.Second, 0)), still([]doctor.Answer{})
		}},
		{"hosts disagree", "clock", "do not agree", "", doctor.Skipped, func(p *P) { p.API = still(ahead(time.Hour, 0)) }},
		{"no date", "clock", "no host says", "", doctor.Skipped, func(p *P) {
			a := answer("x")
			a.ServerAt = time.Time{}
			p.API, p.Authority, p.Links = still(a), still(a), still([]doctor.Answer{})
		}},

		{"token", "token", "gives one", "", doctor.OK, func(*P) {}},
		{"no token", "token", "AADSTS7000215", "set the secret's value", doctor.Failed, func(p *P) { p.Token = failing[struct{}](refused) }},
		{"token unknown", "token", "the line is cut", "", doctor.Skipped, func(p *P) { p.Token = failing[struct{}](obstacle) }},
		{"read", "roles", "Machine.Read.All", "", doctor.OK, func(*P) {}},
		{"write", "roles", "Machine.ReadWrite.All", "", doctor.OK, func(p *P) { p.Roles = still([]string{"Machine.ReadWrite.All"}) }},
		{"both", "roles", "one is enough", "remove one", doctor.Warning, func(p *P) {
			p.Roles = still([]string{"Machine.ReadWrite.All", "Machine.Read.All"})
		}},
		{"too much", "roles", "Alert.Read.All, Machine.Isolate", "remove", doctor.Warning, func(p *P) {
			p.Roles = still([]string{"Machine.Isolate", "Machine.Read.All", "Alert.Read.All"})
		}},
		{"none", "roles", "no application permission", "Machine.Read.All", doctor.Failed, func(p *P) { p.Roles = still([]string(nil)) }},
		{"other", "roles", "only Alert.Read.All", "Machine.Read.All", doctor.Failed, func(p *P) { p.Roles = still([]string{"Alert.Read.All"}) }},
		{"without a token", "roles", "needs token, which failed", "", doctor.Skipped, func(p *P) { p.Token = failing[struct{}](refused) }},
		{"list", "list", "3 or more", "", doctor.OK, func(*P) {}},
		{"list refused", "list", "403", "grant", doctor.Failed, func(p *P) {
			p.List = failing[int](&doctor.RefusedError{Text: "403", Advice: "grant it"})
		}},
		{"list unknown", "list", "the budget is spent", "", doctor.Skipped, func(p *P) { p.List = failing[int](errors.New("the budget is spent")) }},

		{"archived lately", "links.permission", "with this app 1 h ago", "", doctor.OK, func(*P) {}},
		{"archived long ago", "links.permission", "does not spend one", "", doctor.Skipped, func(p *P) {
			p.Archived = still(now.Add(-31 * 24 * time.Hour))
		}},
		{"documented", "links.permission", "Microsoft documents", "", doctor.OK, func(p *P) {
			p.Archived, p.Roles = still(time.Time{}), still([]string{"Machine.ReadWrite.All"})
		}},
		{"no ledger", "links.permission", "does not spend one", "", doctor.Skipped, func(p *P) {
			p.Archived = failing[time.Time](&doctor.UnmadeError{What: "the ledger"})
			p.Forbidden = failing[doctor.Forbidden](&doctor.UnmadeError{What: "the ledger"})
		}},
		{"forbidden", "links.permission", "refused the link of 3f2a81c0: 403", "Machine.ReadWrite.All", doctor.Failed, func(p *P) {
			p.Forbidden = still(doctor.Forbidden{Action: "3f2a81c0-aaaa", Message: "403", Until: now})
		}},
		{"forbidden before", "links.permission", "with this app", "", doctor.OK, func(p *P) {
			p.Forbidden = still(doctor.Forbidden{Action: "3f2a81c0-aaaa", Message: "403", Until: now.Add(-2 * time.Hour)})
		}},
		{"no host", "links.hosts", "no package waits", "", doctor.OK, func(*P) {}},
		{"a host", "links.hosts", "lead to new.example", "allow it: export DEFENDER_LINK_HOSTS=.old.example,new.example", doctor.Failed, func(p *P) {
			p.Refused = still(doctor.RefusedLinks{Hosts: []string{"new.example"}, Allowed: []string{".old.example"}})
		}},
		{"hosts unknown", "links.hosts", "does not exist yet", "", doctor.Skipped, func(p *P) {
			p.Refused = failing[doctor.RefusedLinks](&doctor.UnmadeError{What: "the ledger"})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := tenantPorts()
			c.with(&p)
			expects(t, finds(t, doctor.Tenant(p), c.check), c.state, c.says, c.advises)
		})
	}
}
