package verify

import (
	"cmp"
	"slices"

	"packhorse/internal/investigation"
)

// headlineMissing is the headline of a problem whose root is a missing manifest.
const headlineMissing = "manifest missing"

// Problem is one root cause with all findings that follow from it.
type Problem struct {
	Finding // the root cause; Title names it
	// Because holds the other findings with the same cause: they follow from it or repeat it.
	Because []Finding `json:"because,omitempty"`
}

// Title names the problem in a few words.
func (p Problem) Title() string { return cmp.Or(p.Headline, p.What) }

// causes orders the checks: earlier ones explain later ones.
var causes = []Check{CheckManifest, CheckSignature, CheckObject, CheckVersion, CheckLock, CheckQuarantine,
	CheckLedger, CheckStray, CheckChain, CheckClock, CheckKey}

// rank orders the findings of one action: the smallest is the root cause.
func rank(f Finding) int {
	at := 4 * slices.Index(causes, f.Check)
	switch {
	case f.Headline == headlineMissing:
		return -1
	case f.Unread:
		return at + 2
	case f.Headline != "":
		return at
	default:
		return at + 1
	}
}

// fold groups findings by cause. The findings of one action share a cause, and a gap or a broken link in
// a chain follows from the manifest that is missing or wrong there.
func fold(findings []Finding, subjects []Subject) []Problem {
	var groups [][]Finding
	byAction := map[investigation.ID]int{}
	var chain []Finding
	for _, f := range findings {
		at, known := byAction[f.id]
		switch {
		case f.Kind == KindStranger:
		case f.Check == CheckChain:
			chain = append(chain, f)
		case f.id == (investigation.ID{}):
			groups = append(groups, []Finding{f})
		case known:
			groups[at] = append(groups[at], f)
		default:
			byAction[f.id] = len(groups)
			groups = append(groups, []Finding{f})
		}
	}
	numbers := numbersOf(subjects)
	for _, f := range chain {
		at := causeOf(f, groups, numbers)
		if at < 0 {
			groups = append(groups, []Finding{f})
			continue
		}
		groups[at] = append(groups[at], f)
	}
	problems := make([]Problem, 0, len(groups))
	for _, group := range groups {
		slices.SortStableFunc(group, func(a, b Finding) int { return cmp.Compare(rank(a), rank(b)) })
		problems = append(problems, problem(group))
	}
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Compare(rank(a.Finding), rank(b.Finding))
	})
	return sameKey(problems)
}

func problem(group []Finding) Problem {
	p := Problem{Finding: group[0], Because: group[1:]}
	if p.Check == CheckStray && p.id != (investigation.ID{}) && p.Expected != "" {
		p.Headline = headlineMissing
	}
	for _, f := range p.Because { // the root cause may not know the host or the case
		p.Host, p.Case = cmp.Or(p.Host, f.Host), cmp.Or(p.Case, f.Case)
	}
	return p
}

// numbersOf maps actions to the sequence numbers that the ledger gave their manifests.
func numbersOf(subjects []Subject) map[investigation.ID][]int64 {
	numbers := map[investigation.ID][]int64{}
	for _, s := range subjects {
		if s.Record != nil {
			numbers[s.id] = append(numbers[s.id], s.Record.Seal.Sequence, s.Record.QuarantineSeal.Sequence)
		}
	}
	return numbers
}

// causeOf returns the group that explains a finding about the chain, or -1.
func causeOf(f Finding, groups [][]Finding, numbers map[investigation.ID][]int64) int {
	closest := -1
	for i, group := range groups {
		if group[0].TenantID != f.TenantID {
			continue
		}
		for _, g := range group {
			switch {
			case f.from != "" && g.id != (investigation.ID{}) && f.from == manifestOf(g.Key),
				g.gap.from > 0 && g.gap.from == g.gap.to && f.gap.has(g.gap.from),
				slices.ContainsFunc(numbers[g.id], f.gap.has):
				return i
			case f.gap.from > 0 && closest < 0 && lacksManifest(g) && numbers[g.id] == nil:
				closest = i // its number is unknown without a ledger
			}
		}
	}
	return closest
}

func lacksManifest(f Finding) bool {
	return f.Check == CheckManifest || f.Check == CheckStray && f.id != (investigation.ID{})
}

// manifestOf returns the key of the manifest that belongs to a key.
func manifestOf(key string) string {
	n, ok := investigation.ParseKey(key)
	if !ok {
		return ""
	}
	n.Part, n.SignaturePlace = investigation.PartManifest, 0
	return n.Key()
}

// sameKey folds all manifests signed by one untrusted key into one problem: either the trusted keys lack
// that key, or somebody else wrote the archive.
func sameKey(problems []Problem) []Problem {
	byKey := map[string]int{}
	var folded []Problem
	for _, p := range problems {
		at, known := byKey[p.Found]
		switch {
		case p.Check != CheckSignature || p.Headline != headlineForeign:
			folded = append(folded, p)
		case known:
			first := &folded[at]
			first.Because = append(append(first.Because, p.Finding), p.Because...)
		default:
			byKey[p.Found] = len(folded)
			folded = append(folded, p)
		}
	}
	return folded
}

// headlineForeign is the headline of a problem whose root is an untrusted key.
const headlineForeign = "signed by a key that is not trusted"
