package investigation

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// What the default finds: INC-4711, INC0012345, SIR0010001, CASE-7 and "case 7", as ticket systems
// write them; and if there is none, what people, Defender and Sentinel write: "Incident #24000",
// "Incident 1234", "Incident ID: 77", "inc #12".
//
// It does not take every "LETTERS-DIGITS" for a case, because comments name vulnerabilities and
// techniques in that form. A number in plain words needs a # or the like, or three digits ("the
// incident 2 days ago" names none), and must not begin a date, a time or a longer number.
const (
	ticketPattern = `(?i)\b(?:INC|CASE|IR|SIR|SEC|TICKET)[-#: ]?[0-9]{1,12}\b`

	wordsPattern = `(?i)\b(?:` +
		`(INCIDENT|INC|CASE|SIR|SEC|TICKET|IR)` +
		`(?:-|\s?(?:#|(?:ID|NUMBER|NO\.)\s?[:=#]?)\s?#?)([0-9]{1,12})|` +
		`(INCIDENT|INC|CASE|SIR|TICKET):?\s?([0-9]{3,12})` +
		`)(?:$|[^\w.,:/%-]|[.,:/-](?:\D|$))`
)

const (
	// casePatternMax bounds a pattern, in bytes.
	casePatternMax = 1000

	// caseIDMax bounds a case id, in characters. S3 allows 256 in a tag's value.
	caseIDMax = 64
)

// ErrBadCasePattern is wrapped by the errors of [ParseCasePattern].
var ErrBadCasePattern = errors.New("the case pattern cannot be used")

// CasePattern finds the case id in a requestor's comment. The zero CasePattern finds none.
type CasePattern struct {
	pattern *regexp.Regexp
	words   *regexp.Regexp // tried next; nil for a pattern of one's own
}

// DefaultCases returns the CasePattern for those who have none of their own. What it finds in plain
// words has one form, however it was written: "Incident #24000" and "incident ID: 24000" are
// INCIDENT-24000, "inc #12" is INC-12.
func DefaultCases() CasePattern {
	return CasePattern{regexp.MustCompile(ticketPattern), regexp.MustCompile(wordsPattern)}
}

// ParseCasePattern reads a regular expression (RE2). Its first group is the case id, or the whole
// match where it has no group.
func ParseCasePattern(text string) (CasePattern, error) {
	if len(text) > casePatternMax {
		return CasePattern{}, fmt.Errorf("%w: it has %d bytes, %d are allowed", ErrBadCasePattern,
			len(text), casePatternMax)
	}
	pattern, err := regexp.Compile(text)
	if err != nil {
		return CasePattern{}, fmt.Errorf("%w: %w", ErrBadCasePattern, err)
	}
	return CasePattern{pattern: pattern}, nil
}

// caseIDForm is what S3 takes as a tag's value everywhere. Source: the user guide, "Categorizing
// your objects using tags".
var caseIDForm = regexp.MustCompile(`^[A-Za-z0-9+=._:/@ -]+$`)

// Find returns the case id, or "" where the comment has none that can be a tag's value.
func (p CasePattern) Find(comment string) string {
	if p.pattern == nil {
		return ""
	}
	if groups := p.pattern.FindStringSubmatch(comment); groups != nil {
		if id := usableID(groups[min(1, len(groups)-1)]); id != "" {
			return id
		}
	}
	if p.words == nil {
		return ""
	}
	groups := p.words.FindStringSubmatch(comment)
	if groups == nil {
		return ""
	}
	return usableID(strings.ToUpper(groups[1]+groups[3]) + "-" + groups[2] + groups[4])
}

// usableID returns id without spaces around it, or "" if it cannot be a tag's value.
func usableID(id string) string {
	id = strings.TrimSpace(id)
	if len(id) > caseIDMax || !caseIDForm.MatchString(id) {
		return ""
	}
	return id
}
