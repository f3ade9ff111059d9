package verify

import (
	"fmt"
	"slices"
	"strings"
)

// Overall is the verdict on a whole verification or on one manifest.
type Overall string

const (
	// Pass: everything the evidence requires was checked and agrees.
	Pass Overall = "PASS"
	// Partial: everything that was checked agrees, but some required checks could not be made.
	Partial Overall = "PARTIAL"
	// Fail: something does not agree.
	Fail Overall = "FAIL"
	// Empty: nothing was found to verify.
	Empty Overall = "EMPTY"
)

// Gap is a required check that was not made, and why.
type Gap struct {
	Check     Check  `json:"check"`
	Why       string `json:"why"`
	Manifests int    `json:"manifests,omitempty"` // how many it concerns
}

// WhyKeyNotTrusted says why signatures prove nothing: nobody vouches for the key.
const WhyKeyNotTrusted = "key not trusted: the public keys came with the archive itself"

// whyNoLedger says why the end of a chain is unknown.
const whyNoLedger = "no ledger to compare with"

// Verdict returns the overall verdict.
func (s Summary) Verdict() Overall {
	switch {
	case s.empty():
		return Empty
	case slices.ContainsFunc(s.Problems, func(p Problem) bool { return !p.unread() }):
		return Fail
	case len(s.Gaps) > 0 || len(s.Problems) > 0:
		return Partial
	default:
		return Pass
	}
}

// empty reports whether nothing was found and nothing is missing.
func (s Summary) empty() bool {
	there := slices.ContainsFunc(s.Subjects, func(sub Subject) bool { return !sub.nothing() })
	missed := slices.ContainsFunc(s.Findings, func(f Finding) bool {
		return f.TenantID != "" && f.Kind != KindStranger && !f.nothing || s.Scope == Scope{}
	})
	return !there && !missed
}

// unread reports whether the problem is only that something could not be read.
func (p Problem) unread() bool {
	return p.Unread && !slices.ContainsFunc(p.Because, func(f Finding) bool { return !f.Unread })
}

// KeyNotTrusted reports whether the verdict lacks somebody who vouches for the key. Other gaps may exist
// too.
func (s Summary) KeyNotTrusted() bool {
	return slices.ContainsFunc(s.Gaps, func(g Gap) bool { return g.Why == WhyKeyNotTrusted })
}

// AttributesLost reports whether the archive lost the versions and locks that its manifests record.
func (s Summary) AttributesLost() bool {
	return slices.ContainsFunc(s.Gaps, func(g Gap) bool { return g.Why == WhyAttributesLost })
}

// Unmade returns the gaps in the given checks: those that were required but not made.
func (s Summary) Unmade(checks []Check) []Gap {
	var unmade []Gap
	for _, g := range s.Gaps {
		if slices.Contains(checks, g.Check) {
			unmade = append(unmade, g)
		}
	}
	return unmade
}

// Checks lists the checks that can be required.
func Checks() []Check {
	return []Check{CheckManifest, CheckSignature, CheckObject, CheckVersion, CheckLock, CheckQuarantine,
		CheckLedger, CheckChain, CheckKey}
}

// gaps collects the required checks that were not made.
func (s *Summary) gaps() {
	at := map[Gap]int{}
	for _, sub := range s.Subjects {
		for _, r := range sub.Results {
			if r.Verdict != VerdictNotChecked || r.NotNeeded {
				continue
			}
			g := Gap{Check: r.Check, Why: r.Why}
			if _, known := at[g]; !known {
				at[g] = len(s.Gaps)
				s.Gaps = append(s.Gaps, g)
			}
			s.Gaps[at[g]].Manifests++
		}
	}
	if s.KeysCame && len(s.Keys) > 0 {
		s.Gaps = append(s.Gaps, Gap{Check: CheckKey, Why: WhyKeyNotTrusted})
	}
	if !s.Ledger && s.Scope.Key == "" && len(s.Tenants) > 0 {
		s.Gaps = append(s.Gaps, Gap{Check: CheckChain, Why: "its end is not known: " + whyNoLedger})
	}
	slices.SortStableFunc(s.Gaps, func(a, b Gap) int {
		return slices.Index(Checks(), a.Check) - slices.Index(Checks(), b.Check)
	})
}

// nothing reports whether nothing is stored under the subject's keys and nothing requires it.
func (s *Subject) nothing() bool { return len(s.Findings) == 1 && s.Findings[0].nothing }

// Headline gives the main reason for the verdict in one sentence, without a period.
func (s Summary) Headline() string {
	switch s.Verdict() {
	case Pass:
		return "everything agrees"
	case Partial:
		if len(s.Problems) > 0 {
			return s.Problems[0].inShort()
		}
		text := "what was checked agrees"
		if s.KeyNotTrusted() {
			text = "consistent, key not trusted"
		}
		if gaps := gapsText(s.Gaps); gaps != "" {
			text += ". Not checked: " + gaps
		}
		return text
	case Empty:
		return s.emptiness()
	default:
		return s.Problems[0].inShort()
	}
}

// inShort names the problem, its host and case, and its key.
func (p Problem) inShort() string {
	text := p.Title()
	switch {
	case p.Host != "" && p.Case != "":
		text += fmt.Sprintf(" (host %s, case %s)", p.Host, p.Case)
	case p.Host != "":
		text += fmt.Sprintf(" (host %s)", p.Host)
	}
	if p.Key == "" {
		return text + ": tenant " + p.TenantID
	}
	return text + ": " + p.Key
}

// emptiness says what was not found, and which tenants were.
func (s Summary) emptiness() string {
	others := "it holds nothing of any tenant"
	if len(s.Present) > 0 {
		others = "it has " + strings.Join(s.Present, ", ")
	}
	switch {
	case s.Scope.TenantID != "":
		return "nothing of the tenant " + s.Scope.TenantID + " is in " + s.Where + ": " + others
	case s.Scope.Key != "":
		return "nothing is stored under " + s.Scope.Key + " in " + s.Where
	default:
		return "no manifest in " + s.Where
	}
}

// gapsText lists the checks, grouped by reason.
func gapsText(gaps []Gap) string {
	var reasons []string
	checks := map[string][]string{}
	for _, g := range gaps {
		if g.Why == WhyKeyNotTrusted {
			continue // worded separately
		}
		if checks[g.Why] == nil {
			reasons = append(reasons, g.Why)
		}
		checks[g.Why] = append(checks[g.Why], string(g.Check))
	}
	parts := make([]string, 0, len(reasons))
	for _, why := range reasons {
		parts = append(parts, strings.Join(checks[why], ", ")+" ("+why+")")
	}
	return strings.Join(parts, "; ")
}

// remarks adds advice that the findings do not contain.
func (v *Verifier) remarks(sum *Summary) {
	if sum.Verdict() == Empty {
		return
	}
	if sum.KeysCame && !v.trust.Empty() {
		sum.Remarks = append(sum.Remarks, "The public keys came with the archive itself: compare their "+
			"ids with a copy kept elsewhere, or name one with --pub.")
	}
	if v.trust.Empty() {
		sum.Remarks = append(sum.Remarks, "No public key to check signatures with: name one "+
			"with --pub.")
	}
	if !sum.Ledger {
		sum.Remarks = append(sum.Remarks, "No ledger to compare with: manifests "+
			"missing at the end of a chain go unnoticed.")
	}
	switch {
	case sum.AttributesLost():
		sum.Remarks = append(sum.Remarks, "Attributes were lost in copying: the manifests record versions "+
			"and locks, and the folder has none. Copy it again with cp -a, rsync -aX or tar --xattrs.")
	case v.about.Bucket == "":
		sum.Remarks = append(sum.Remarks, "Versions and locks were not checked: a copy does not keep them.")
	case !v.about.Versioned:
		sum.Remarks = append(sum.Remarks, "Versions and locks were not checked: "+whyNoVersions+".")
	}
}

func byKey(findings []Finding) []Finding {
	slices.SortStableFunc(findings, func(a, b Finding) int { return strings.Compare(a.Key, b.Key) })
	return findings
}
