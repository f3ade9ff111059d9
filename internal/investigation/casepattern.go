package investigation

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// The default looks first for ids as ticket systems write them: INC-4711, INC0012345, SIR0010001,
// CASE-7 and "case 7". If it finds none, it looks for what people, Defender and Sentinel write:
// "Incident #24000", "Incident 1234", "Incident ID: 77", "inc #12".
//
// It does not accept every "LETTERS-DIGITS", because comments name vulnerabilities and techniques in
// that form. A number in plain words needs a # or the like, or three digits (so "the incident 2 days
// ago" does not match), and must not start a date, a time or a longer number.
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
var ErrBadCasePattern = errors.New("invalid case pattern")

// CasePattern finds the case id in a requestor's comment. The zero CasePattern never finds one.
type CasePattern struct {
	pattern *regexp.Regexp
	words   *regexp.Regexp // tried next; nil for a configured pattern
}

// DefaultCases returns the CasePattern to use when none is configured. It normalizes ids written in
// plain words: "Incident #24000" and "incident ID: 24000" both become INCIDENT-24000, and "inc #12"
// becomes INC-12.
func DefaultCases() CasePattern {
	return CasePattern{regexp.MustCompile(ticketPattern), regexp.MustCompile(wordsPattern)}
}

// ParseCasePattern parses a regular expression (RE2). Its first group is the case id; without a group,
// the whole match is.
func ParseCasePattern(text string) (CasePattern, error) {
	if len(text) > casePatternMax {
		return CasePattern{}, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrBadCasePattern,
			len(text), casePatternMax)
	}
	pattern, err := regexp.Compile(text)
	if err != nil {
		return CasePattern{}, fmt.Errorf("%w: %w", ErrBadCasePattern, err)
	}
	return CasePattern{pattern: pattern}, nil
}

// caseIDForm matches the tag values that S3 accepts in every region. Source: the user guide,
// "Categorizing your objects using tags".
var caseIDForm = regexp.MustCompile(`^[A-Za-z0-9+=._:/@ -]+$`)

// Find returns the case id in the comment, or "" if there is none that can be a tag's value.
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

// usableID trims id, and returns "" if the result cannot be a tag's value.
func usableID(id string) string {
	id = strings.TrimSpace(id)
	if len(id) > caseIDMax || !caseIDForm.MatchString(id) {
		return ""
	}
	return id
}
