package find

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"

	"packhorse/cmd/packhorse/console"
	"packhorse/internal/investigation"
)

// candidatesMax is how many candidates an error lists.
const candidatesMax = 10

// AmbiguousError reports that a text names several packages.
type AmbiguousError struct {
	Text       string
	Candidates []investigation.Record // newest first, at most ten
	IDs        []string               // their short ids
	More       int                    // how many more there are

	command string
	newest  bool     // --newest is of use
	tenants []string // what the candidates' tenants are called; empty if it is one tenant
	first   string   // the whole name or id of the first of them
}

func (q Query) ambiguous(ctx context.Context, found matches) error {
	shown := found.records[:min(candidatesMax, len(found.records))]
	ids := ShortIDs(found.records)[:len(shown)]
	several := SeveralTenants(found.records)
	e := &AmbiguousError{
		Text: q.Text, Candidates: shown, IDs: ids, More: len(found.records) - len(shown),
		command: q.Command, newest: !found.byID && !several,
	}
	if several {
		var names map[string]string
		if q.Names != nil {
			names = q.Names(ctx)
		}
		for _, rec := range shown {
			e.tenants = append(e.tenants, TenantLabel(names, rec.TenantID))
		}
		e.first = console.CleanLine(cmp.Or(names[shown[0].TenantID], shown[0].TenantID))
	}
	return e
}

// Error lists the candidates, one a line. It is safe for a terminal.
func (e *AmbiguousError) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%q names %d packages:\n", console.Clean(e.Text), len(e.Candidates)+e.More)
	var g console.Grid
	for i, rec := range e.Candidates {
		cells := []string{"  " + e.IDs[i]}
		if len(e.tenants) > 0 {
			cells = append(cells, e.tenants[i])
		}
		g.Row(append(cells, rec.CreatedAt.UTC().Format(console.Minute), console.Host(rec.Action),
			console.Clean(cmp.Or(rec.CaseID, "–")), console.Outcome(rec))...)
	}
	_, _ = g.WriteTo(&text) // a strings.Builder does not fail
	if e.More > 0 {
		fmt.Fprintf(&text, "  and %d more\n", e.More)
	}
	return strings.TrimSuffix(text.String(), "\n")
}

// Advice shows the command to type.
func (e *AmbiguousError) Advice() string {
	name := e.IDs[0]
	if len(e.IDs) > 1 && slices.Contains(e.IDs[1:], name) { // of several tenants; keys name the tenant
		name = console.CleanLine(cmp.Or(e.Candidates[0].Receipt.Key, e.Candidates[0].ManifestKey))
	}
	if name == "" {
		return "say whose it is: --tenant " + console.ShellQuote(e.first)
	}
	advice := e.command + " " + name
	if e.command == "" {
		advice = "pass the id, such as " + name
	}
	switch {
	case e.newest:
		advice += ", or add --newest for the newest of them"
	case len(e.tenants) > 0:
		advice += ", or say whose it is with --tenant"
	}
	return advice
}

// NotFoundError reports that a ledger has no package that a text names.
type NotFoundError struct {
	Text     string
	Where    string   // the ledger
	TenantID string   // empty: of any tenant
	Nearest  []string // the hosts and cases with similar names, the most similar first
}

// notFound looks through the names of all hosts and cases for similar ones.
func (q Query) notFound(ctx context.Context, ledger Ledger) error {
	var names []string
	for _, field := range []investigation.Field{investigation.FieldHost, investigation.FieldCase} {
		values, _ := ledger.Values(ctx, investigation.Beginning{ // without them, there is less to suggest
			TenantID: q.TenantID, Field: field, Limit: comparedMax,
		})
		for _, value := range values {
			name := value.Text
			if field == investigation.FieldHost && !strings.Contains(q.Text, ".") {
				name, _, _ = strings.Cut(name, ".")
			}
			names = append(names, name)
		}
	}
	return &NotFoundError{Text: q.Text, Where: q.Where, TenantID: q.TenantID, Nearest: nearest(q.Text, names)}
}

// Error says what was searched. It is safe for a terminal.
func (e *NotFoundError) Error() string {
	text := fmt.Sprintf("no package found for %q", console.Clean(e.Text))
	if e.Where != "" {
		text += " in " + console.CleanLine(e.Where)
	}
	if _, ok := ActionOf(e.Text); ok {
		text += ": the ledger does not have its action"
	} else {
		text += ": it is not a host, a case, an archive key or the beginning of an action id there"
	}
	if e.TenantID != "" {
		text += ", of tenant " + e.TenantID
	}
	return text
}

// Advice names similar hosts and cases.
func (e *NotFoundError) Advice() string {
	if len(e.Nearest) == 0 {
		return "packhorse list shows what the ledger has"
	}
	var names []string
	for _, name := range e.Nearest {
		names = append(names, console.Clean(name))
	}
	return "did you mean " + strings.Join(names, ", ") + "? packhorse list shows what the ledger has"
}

const (
	// nearestMax is how many similar names an error suggests.
	nearestMax = 3
	// partMin is the length of the shortest part of a name that makes it similar.
	partMin = 3
	// comparedMax is how many hosts, and how many cases, are compared.
	comparedMax = 100_000
	// nameMax is how much of a name is compared, in characters.
	nameMax = 64
)

// nearest returns the hosts and cases whose names are most similar to text, best first. Text may be a part of
// the name, or up to a third of the characters may differ.
func nearest(text string, names []string) []string {
	type candidate struct {
		name     string
		distance int
	}
	var near []candidate
	known := map[string]bool{}
	text = string(runes(strings.ToLower(text)))
	for _, name := range names {
		folded := strings.ToLower(name)
		if name == "" || known[folded] {
			continue
		}
		known[folded] = true
		d := distance(text, folded)
		if len(text) >= partMin && strings.Contains(folded, text) {
			d = 1
		}
		if d <= max(1, len([]rune(text))/3) {
			near = append(near, candidate{name, d})
		}
	}
	slices.SortStableFunc(near, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(a.name, b.name))
	})
	var best []string
	for _, c := range near[:min(nearestMax, len(near))] {
		best = append(best, c.name)
	}
	return best
}

// distance returns how many characters must be inserted, removed or replaced to turn a into b.
func distance(a, b string) int {
	return levenshtein.ComputeDistance(string(runes(a)), string(runes(b)))
}

func runes(s string) []rune {
	r := []rune(s)
	return r[:min(nameMax, len(r))]
}
