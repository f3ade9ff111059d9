package doctor

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"packhorse/internal/investigation"
)

// The areas of the checks of a tenant.
const (
	areaSettings = "Settings"
	areaNetwork  = "Network"
	areaDefender = "Defender"
)

// The names of checks that others need.
const (
	nameSettings  = "settings"
	nameTrust     = "network.trust"
	nameAuthority = "network.authority"
	nameAPI       = "network.api"
	nameToken     = "token"
	nameRoles     = "roles"
)

// NameList is the name of the check that asks Defender for the tenant's actions: without it, little is known of a tenant.
const NameList = "list"

// The application permissions, of which one is needed.
const (
	roleRead  = "Machine.Read.All"
	roleWrite = "Machine.ReadWrite.All"
)

const (
	// skewWarned and skewMax are how far the clock may be off. The times of claims and of the evidence come from it.
	skewWarned = 2 * time.Second
	skewMax    = time.Minute

	// lately is how long an archived package proves that Defender gives links.
	lately = 30 * 24 * time.Hour
)

// Tenant returns the checks of a tenant: its settings, the network to it, and what Defender allows.
func Tenant(p TenantPorts) []Check {
	return slices.Concat([]Check{{
		Name: nameSettings, Area: areaSettings, Looks: "whether every setting is valid",
		Run: func(context.Context) Finding { return p.judgeSettings(p.Settings()) },
	}}, networkChecks(p), defenderChecks(p))
}

func (p TenantPorts) judgeSettings(s SettingsState) Finding {
	switch {
	case s.Unset:
		return Fail("register an application in Entra ID, grant it "+roleRead+" of WindowsDefenderATP with admin consent,"+
			" and say which it is: export DEFENDER_TENANT_ID=… DEFENDER_CLIENT_ID=… DEFENDER_CLIENT_SECRET=…",
			"nothing is set yet")
	case len(s.Problems) == 1:
		return Fail("set it right and look again", "%s", s.Problems[0])
	case len(s.Problems) > 1:
		return Fail("set them right and look again", "%d are wrong: %s", len(s.Problems), strings.Join(s.Problems, "; "))
	default:
		return Good("tenant %s in the %s cloud", s.Tenant, s.Cloud)
	}
}

func networkChecks(p TenantPorts) []Check {
	host := func(name, what string, look Look[Answer]) Check {
		return Check{
			Name: name, Area: areaNetwork, After: []string{nameSettings, nameTrust},
			Looks: "whether " + what + " can be reached, through the proxy if there is one",
			Run:   seeing(look, "", func(a Answer) Finding { return p.judgeAnswer(a) }),
		}
	}
	return []Check{
		{
			Name: nameTrust, Area: areaNetwork, After: []string{nameSettings},
			Looks: "whether the certificates of all hosts are trusted", Run: p.judgeTrust,
		},
		host(nameAuthority, "Entra ID", p.Authority),
		host(nameAPI, "Defender's API", p.API),
		{
			Name: "network.links", Area: areaNetwork, After: []string{nameSettings, nameTrust},
			Looks: "whether the link hosts that are whole names can be reached", Run: seeing(p.Links, "", p.judgeLinks),
		},
		{
			Name: "clock", Area: areaNetwork, After: []string{nameAuthority, nameAPI},
			Looks: "whether the clock agrees with the hosts' clocks", Run: p.judgeClock,
		},
	}
}

// answers asks all hosts. Hosts that cannot be asked are left out.
func (p TenantPorts) answers(ctx context.Context) []Answer {
	var all []Answer
	for _, look := range []Look[Answer]{p.Authority, p.API} {
		if a, err := look(ctx); err == nil {
			all = append(all, a)
		}
	}
	links, err := p.Links(ctx)
	if err == nil {
		all = append(all, links...)
	}
	return all
}

func (p TenantPorts) judgeTrust(ctx context.Context) Finding {
	all := p.answers(ctx)
	trusted := 0
	for _, a := range all {
		if _, ok := errors.AsType[x509.UnknownAuthorityError](a.Err); ok {
			return Fail("if a proxy inspects TLS, trust its root certificate: "+
				`export DEFENDER_CA_PEM="$(cat ROOT.pem)"`, "nobody trusted issued the certificate of %s", a.Host)
		}
		if invalid, ok := errors.AsType[x509.CertificateInvalidError](a.Err); ok {
			return Fail("check this machine's clock (date -u); if it is right, tell whoever runs the host or the proxy",
				"the certificate of %s is not valid: %v", a.Host, invalid)
		}
		if a.Err == nil {
			trusted++
		}
	}
	if trusted == 0 {
		return Warn("", "no host has shown a certificate")
	}
	return Good("the certificates of %d hosts", trusted)
}

func (p TenantPorts) judgeAnswer(a Answer) Finding {
	through := ""
	if a.Proxy != "" {
		through = " through the proxy " + a.Proxy
	}
	if a.Err == nil {
		return Good("%s answers%s", a.Host, through)
	}
	check := "check the name in " + a.Variable
	if _, ok := errors.AsType[*net.DNSError](a.Err); ok {
		return Fail(check+", and the name server", "the name of %s cannot be resolved%s", a.Host, through)
	}
	if _, ok := errors.AsType[x509.HostnameError](a.Err); ok {
		return Fail(check, "the certificate of %s is for another host", a.Host)
	}
	if errors.Is(a.Err, context.DeadlineExceeded) {
		return Fail("let a firewall or the proxy (HTTPS_PROXY) pass it, or "+check, "%s does not answer%s", a.Host, through)
	}
	return Fail("let a firewall or the proxy (HTTPS_PROXY) pass it, or "+check, "%s cannot be reached%s: %s", a.Host, through,
		investigation.Redact(a.Err.Error()))
}

func (p TenantPorts) judgeLinks(all []Answer) Finding {
	if len(all) == 0 {
		return Skip("", "all link hosts are suffixes: only a link says which host it is")
	}
	var names []string
	for _, a := range all {
		if f := p.judgeAnswer(a); f.State != OK {
			return f
		}
		names = append(names, a.Host)
	}
	return Good("%s", few(names)+map[bool]string{true: " answers", false: " answer"}[len(names) == 1])
}

// judgeClock says by how much the clock is certainly off. A host's time is known to a second, and it was written at
// some instant between question and answer; all hosts' answers bound it at once.
func (p TenantPorts) judgeClock(ctx context.Context) Finding {
	least, most := -never, never // by how much our clock is ahead of the hosts'
	for _, a := range p.answers(ctx) {
		if a.Err != nil || a.ServerAt.IsZero() {
			continue
		}
		half := a.Took / 2
		least = max(least, a.At.Add(-half).Sub(a.ServerAt.Add(time.Second)))
		most = min(most, a.At.Add(half).Sub(a.ServerAt))
	}
	const advice = "set the clock, and let NTP keep it right (timedatectl set-ntp true)"
	off, word := max(0, least), "fast"
	if most < 0 {
		off, word = -most, "slow"
	}
	text := fmt.Sprintf("at least %.0f s %s", off.Seconds(), word)
	switch {
	case most == never:
		return Skip("", "no host says what time it is")
	case least > most:
		return Skip("", "the hosts do not agree on the time: their clocks are %.0f s apart", (least - most).Seconds())
	case off > skewMax:
		return Fail(advice, "%s: the times in the evidence would be wrong, and so would the budget", text)
	case off > skewWarned:
		return Warn(advice, "%s", text)
	default:
		return Good("between %.1f s slow and %.1f s fast, by the hosts' clocks", max(0, -least).Seconds(), max(0, most).Seconds())
	}
}

// never is longer than any clock is off.
const never = time.Duration(1<<63 - 1)
