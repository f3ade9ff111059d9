package tenant

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ErrInvalid is wrapped by an [Error].
var ErrInvalid = errors.New("the tenant's entry cannot be used")

// ErrConflict means that somebody else changed the entry, or added or removed it. Nothing was written.
var ErrConflict = errors.New("somebody else changed the tenant's entry at the same time")

// Error lists everything that is wrong with an entry.
type Error struct {
	ID       string
	Problems []Problem // at least one, in order of the fields' names
}

// Problem says what is wrong with a field and what to write into it. It never quotes what is in there.
type Problem struct{ Field, Text string }

func (e *Error) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "tenant %.64q: ", e.ID)
	if len(e.Problems) == 1 {
		text.WriteString("a field is wrong:")
	} else {
		fmt.Fprintf(&text, "%d fields are wrong:", len(e.Problems))
	}
	for _, p := range e.Problems {
		fmt.Fprintf(&text, "\n  %s: %s", p.Field, p.Text)
	}
	return text.String()
}

// Unwrap returns [ErrInvalid].
func (*Error) Unwrap() error { return ErrInvalid }

// Validate returns an [Error] unless the entry can be stored. What the fields mean to Entra ID, Defender and S3 is
// for package settings to judge, which has the stack's values for the empty ones.
func (t Tenant) Validate() error {
	return invalid(t.ID, t.problems())
}

// invalid returns an error for the problems, or nil if there are none.
func invalid(id string, problems []Problem) error {
	if len(problems) == 0 {
		return nil
	}
	slices.SortStableFunc(problems, func(a, b Problem) int { return cmp.Compare(a.Field, b.Field) })
	problems = slices.CompactFunc(problems, func(a, b Problem) bool { return a.Field == b.Field })
	return &Error{ID: id, Problems: problems}
}

// Join returns an [Error] with the entry's own problems and these, or nil if there are none.
func (t Tenant) Join(others []Problem) error { return invalid(t.ID, append(t.problems(), others...)) }

var guidForm = regexp.MustCompile(`^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

const (
	// nameLengthMax keeps a name in one column of a table.
	nameLengthMax = 60

	guidWanted = "a GUID in lower case, such as 0b1c2d3e-4f50-4617-8293-a4b5c6d7e8f9"
)

func (t Tenant) problems() []Problem {
	var found []Problem
	wrong := func(is bool, field, want string) {
		if is {
			found = append(found, Problem{field, "want " + want})
		}
	}
	wrong(!guidForm.MatchString(t.ID), FieldID, guidWanted)
	wrong(t.ClientID != "" && !guidForm.MatchString(t.ClientID), FieldClientID, guidWanted)
	wrong(badName(t.Name), FieldName, fmt.Sprintf("1 to %d printable characters that are not a GUID, without space at "+
		"the ends", nameLengthMax))
	wrong(t.State != Active && t.State != Suspended, FieldState, "active or suspended")
	wrong(t.LegalHold != "" && t.LegalHold != "true" && t.LegalHold != "false", FieldLegalHold, "true or false")
	wrong(t.PerMinute < 0, FieldPerMinute, "a whole number of calls, or nothing")
	wrong(t.PerHour < 0, FieldPerHour, "a whole number of calls, or nothing")
	wrong(t.LockDays < 0, FieldLockDays, "a whole number of days, or nothing")
	wrong(t.Lookback < 0, FieldLookback, "a duration, or nothing")
	for name, value := range t.times() {
		wrong(value.Year() < 2000 || value.Year() > 9999, name, "a time after the year 2000")
	}
	for name, value := range t.texts() {
		most := fieldTextBytesMax
		if name == FieldCAPEM || name == FieldCertPEM {
			most = fieldCAPEMBytesMax
		}
		wrong(len(*value) > most || !utf8.ValidString(*value), name, fmt.Sprintf("valid UTF-8 of at most %d bytes", most))
	}
	if want := t.Credential.wanted(); want != "" {
		found = append(found, Problem{FieldCredential, "want " + want})
	}
	found = append(found, t.unsafe()...)
	return found
}

// wanted says how to mend a credential that is set only in part.
func (c Credential) wanted() string {
	switch {
	case c == (Credential{}), slices.Contains(Kinds(), c.Kind):
		return ""
	default:
		return "federated, certificate or secret"
	}
}

// unsafe names what would show the stack's secret to others: a secret is sent to the authority, on behalf of an app.
func (t Tenant) unsafe() []Problem {
	if t.Credential.Kind != "" {
		return nil
	}
	const want = "want a credential of its own, because the stack's belongs to "
	switch {
	case t.ClientID != "":
		return []Problem{{FieldCredential, want + "the stack's app, and this tenant has another client-id"}}
	case t.AuthorityURL != "":
		return []Problem{{FieldCredential, want + "the stack's authority, and this tenant has another authority-url"}}
	default:
		return nil
	}
}

func badName(name string) bool {
	return name == "" || utf8.RuneCountInString(name) > nameLengthMax || strings.TrimSpace(name) != name ||
		guidForm.MatchString(strings.ToLower(name)) ||
		strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) })
}
