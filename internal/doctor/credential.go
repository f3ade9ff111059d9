package doctor

import (
	"slices"
	"strings"
	"time"

	"packhorse/internal/tenant"
)

// expiryWarned is how long before it expires a credential is due for replacement, as CredentialAlarm has it.
const expiryWarned = 30 * 24 * time.Hour

// judgeCredential judges the proof that Entra ID accepted, and the others beside it.
func judgeCredential(c Credential, now time.Time) Finding {
	at := slices.IndexFunc(c.Proofs, func(p Proof) bool { return p.Name == c.Accepted })
	switch {
	case at < 0 && c.Kind == tenant.Federated: // AWS was asked twice, and vouched for somebody else the second time
		return Warn("use one AWS identity, or name a role in DEFENDER_IDENTITY_ROLE",
			"%s: Entra ID accepted %s, but AWS now vouches for another", c.Kind, c.Accepted)
	case at < 0:
		return Warn("look again", "%s: Entra ID accepted %s, which has been replaced meanwhile", c.Kind, c.Accepted)
	}
	proof := c.Proofs[at]
	text := string(c.Kind) + ": Entra ID accepts " + proof.Name + ", which " + lasts(c.Kind, proof, now)
	if at > 0 {
		return Warn(acquaint(c.Kind, c.Proofs[0]), "%s, but not its replacement yet: %s, which %s", text, c.Proofs[0].Name,
			lasts(c.Kind, c.Proofs[0], now))
	}
	if rest := c.Proofs[1:]; len(rest) > 0 {
		text += "; beside it " + named(c.Kind, rest, now)
	}
	switch left := proof.Expires.Sub(now); {
	case proof.Expires.IsZero():
		return Good("%s", text)
	case left <= 0:
		return Fail(replacement(c.Kind), "%s", text)
	case left <= expiryWarned:
		return Warn(replacement(c.Kind), "%s", text)
	default:
		return Good("%s", text)
	}
}

// lasts says how long a proof lasts.
func lasts(kind tenant.Kind, p Proof, now time.Time) string {
	switch on := p.Expires.UTC().Format(time.DateOnly); {
	case kind == tenant.Federated:
		return "never expires"
	case p.Expires.IsZero():
		return `has no "expires" beside it, so nothing warns before it expires`
	case !p.Expires.After(now):
		return "expired on " + on
	default:
		return "expires on " + on + " (in " + age(p.Expires.Sub(now)) + ")"
	}
}

func named(kind tenant.Kind, proofs []Proof, now time.Time) string {
	var names []string
	for _, p := range proofs {
		name := p.Name
		if !p.Expires.IsZero() {
			name += ", which " + lasts(kind, p, now)
		}
		names = append(names, name)
	}
	return strings.Join(names, "; ")
}

// acquaint says how Entra ID gets to know a replacement.
func acquaint(kind tenant.Kind, p Proof) string {
	if kind == tenant.ClientSecret {
		return "store the value (not the id) of a secret that the app registration has: Entra ID refuses the current one"
	}
	return "upload it to the app registration, under Certificates & secrets, before the accepted one expires: " + p.Name
}

// replacement says how to replace a proof.
func replacement(kind tenant.Kind) string {
	if kind == tenant.ClientSecret {
		return `make a new secret in the app registration and store it: docs/credentials.md, "Client secret"`
	}
	return `make a new certificate and upload it beside this one: docs/credentials.md, "Replace a certificate without a gap"`
}
