package investigation

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// DefaultCasePattern finds what ticket systems call incidents and cases: INC-4711, INC0012345,
// SIR0010001, CASE-7, "case 7". It does not take every "LETTERS-DIGITS" for a case, because comments
// name vulnerabilities and techniques in that form.
const DefaultCasePattern = `(?i)\b(?:INC|CASE|IR|SIR|SEC|TICKET)[-#: ]?[0-9]{1,12}\b`

const (
	// casePatternMax bounds a pattern, in bytes.
	casePatternMax = 1000

	// caseIDMax bounds a case id, in characters. S3 allows 256 in a tag's value.
	caseIDMax = 64
)

// ErrBadCasePattern is wrapped by the errors of [ParseCasePattern].
var ErrBadCasePattern = errors.New("the case pattern cannot be used")

// CasePattern finds the case id in a requestor's comment. The zero CasePattern finds none.
type CasePattern struct{ pattern *regexp.Regexp }

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
	groups := p.pattern.FindStringSubmatch(comment)
	if groups == nil {
		return ""
	}
	id := strings.TrimSpace(groups[min(1, len(groups)-1)])
	if len(id) > caseIDMax || !caseIDForm.MatchString(id) {
		return ""
	}
	return id
}
