// Package find finds packages by what people have at hand: an action id or its beginning, a host, a case, or
// the key, URL or path of a file in the archive.
//
// It searches a ledger, and never the archive itself. What it finds is what the ledger recorded; whether the
// evidence agrees is for package verify.
package find

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"packhorse/internal/investigation"
)

// Ledger holds the records. If some are malformed, it MUST return all others and an error that wraps
// investigation.ErrBadRecord.
type Ledger interface {
	Find(ctx context.Context, filter investigation.Filter) ([]investigation.Record, error)
	Values(ctx context.Context, beginning investigation.Beginning) ([]investigation.Value, error)
}

// Query says what to find. Only Text is required.
type Query struct {
	Text     string
	TenantID string // empty means any tenant

	// Newest makes One return the newest of several packages of a host or case that has an object, if all are of one
	// tenant: of several customers' hosts of a name, nobody can tell which one is meant.
	Newest bool
	Where  string // display name of the ledger, for errors
	// Names returns what tenants are called, by id. It is asked only if several tenants have what the text names; nil
	// means that nobody knows.
	Names func(ctx context.Context) map[string]string
	// Command is the command line before the text, such as "packhorse show". Advice repeats it with an id
	// that is not ambiguous.
	Command string
}

// beginningMin is the length of the shortest beginning of an action id that is searched for.
const beginningMin = 4

// ErrEmpty reports an empty text.
var ErrEmpty = errors.New("nothing to find: write an action id, a host, a case or an archive key")

// One returns the package that the text names. Its errors are an [*AmbiguousError] if there are several, and
// a [*NotFoundError] if there are none.
func One(ctx context.Context, ledger Ledger, q Query) (investigation.Record, error) {
	found, err := search(ctx, ledger, q)
	if err != nil {
		return investigation.Record{}, err
	}
	if len(found.records) == 1 {
		return found.records[0], nil
	}
	if q.Newest && !found.byID && !SeveralTenants(found.records) {
		return newest(found.records), nil
	}
	return investigation.Record{}, q.ambiguous(ctx, found)
}

// Some returns all packages of the host or case that the text names, or the one package that it names in
// another way; newest first. Its errors are those of [One], but only ids are ever ambiguous.
func Some(ctx context.Context, ledger Ledger, q Query) ([]investigation.Record, error) {
	found, err := search(ctx, ledger, q)
	if err == nil && found.byID && len(found.records) > 1 {
		err = q.ambiguous(ctx, found)
	}
	if err != nil {
		return nil, err
	}
	return found.records, nil
}

// All returns everything that the text names, newest first, however ambiguous. Its error is a
// [*NotFoundError] if there is nothing.
func All(ctx context.Context, ledger Ledger, q Query) ([]investigation.Record, error) {
	found, err := search(ctx, ledger, q)
	return found.records, err
}

// newest returns the newest record with an object in the archive or, if none has one, the newest.
func newest(records []investigation.Record) investigation.Record {
	for _, rec := range records {
		if rec.Receipt.Key != "" {
			return rec
		}
	}
	return records[0]
}

// matches are the records that a text names, newest first.
type matches struct {
	records []investigation.Record
	byID    bool // some of them only by the id or its beginning, or by a key
}

// search returns at least one match.
func search(ctx context.Context, ledger Ledger, q Query) (matches, error) {
	if strings.TrimSpace(q.Text) == "" {
		return matches{}, ErrEmpty
	}
	var found matches
	var bad []error
	for _, filter := range q.filters() {
		records, err := ledger.Find(ctx, filter)
		if err != nil && !errors.Is(err, investigation.ErrBadRecord) {
			return matches{}, fmt.Errorf("find %.60q: %w", q.Text, err)
		}
		bad = append(bad, err)
		for _, rec := range records {
			if !found.has(rec.ID) {
				found.records = append(found.records, rec)
				found.byID = found.byID || filter.ActionID != ""
			}
		}
	}
	slices.SortStableFunc(found.records, func(a, b investigation.Record) int {
		return investigation.ByCreation(b, a)
	})
	if len(found.records) == 0 {
		return matches{}, errors.Join(q.notFound(ctx, ledger), errors.Join(bad...))
	}
	return found, nil
}

func (m matches) has(id investigation.ID) bool {
	return slices.ContainsFunc(m.records, func(rec investigation.Record) bool { return rec.ID == id })
}

// filters returns the searches that the text may call for.
func (q Query) filters() []investigation.Filter {
	if id, ok := ActionOf(q.Text); ok {
		if q.TenantID != "" && id.TenantID != "" && id.TenantID != q.TenantID {
			return nil // the key of another tenant
		}
		return []investigation.Filter{{TenantID: cmp.Or(q.TenantID, id.TenantID), ActionID: id.ActionID}}
	}
	filters := []investigation.Filter{
		{TenantID: q.TenantID, Machine: q.Text}, {TenantID: q.TenantID, Case: q.Text},
	}
	if mayBeID(q.Text) {
		filters = append(filters, investigation.Filter{TenantID: q.TenantID, ActionID: strings.ToLower(q.Text)})
	}
	return filters
}

// idBeginning matches the beginning of a GUID or of a SHA-1.
var idBeginning = regexp.MustCompile(`^[0-9a-fA-F-]+$`)

func mayBeID(text string) bool { return len(text) >= beginningMin && idBeginning.MatchString(text) }

// ActionOf returns the action whose file text names, by a key, an s3:// URL or a path. The tenant is empty if
// text is only the name of a file. It returns false for any other text.
func ActionOf(text string) (investigation.ID, bool) {
	text = strings.ReplaceAll(text, `\`, "/") // a path on Windows
	segments := strings.Split(text, "/")
	end := strings.Join(segments[max(0, len(segments)-3):], "/")
	const anyID = "0000000000000000000000000000000000000000"
	file := anyID + "/" + anyID + "/" + segments[len(segments)-1]
	for _, folder := range []string{"", investigation.QuarantineFolder} { // packages and manifests; .bin files
		if parts, ok := investigation.ParseKey(folder + end); ok {
			return parts.ID, true
		}
		if parts, ok := investigation.ParseKey(folder + file); ok {
			return investigation.ID{ActionID: parts.ActionID}, true
		}
	}
	return investigation.ID{}, false
}
