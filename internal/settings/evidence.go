package settings

import (
	"errors"
	"regexp"
	"regexp/syntax"
	"strings"
	"time"
	"unicode"

	"packhorse/internal/investigation"
)

// lockDaysMax is the longest retention that S3 accepts, a hundred years. Source: the API reference,
// "DefaultRetention".
const lockDaysMax = 36500

// LockMode is S3's name for an object's retention mode. The zero LockMode means no retention.
type LockMode string

// The retention modes.
const (
	LockNone       LockMode = ""           // written "NONE", because an empty variable counts as unset
	LockGovernance LockMode = "GOVERNANCE" // s3:BypassGovernanceRetention still allows deletion
	LockCompliance LockMode = "COMPLIANCE" // nobody can delete, not even the account's owner
)

var errBadLockMode = errors.New("invalid retention mode")

// UnmarshalText reads the variable, ignoring case.
func (m *LockMode) UnmarshalText(text []byte) error {
	mode := LockMode(strings.ToUpper(string(text)))
	if mode == "NONE" {
		mode = LockNone
	} else if mode != LockGovernance && mode != LockCompliance {
		return errBadLockMode
	}
	*m = mode
	return nil
}

// Lock returns how stored objects are locked.
func (s Settings) Lock() investigation.Lock {
	return investigation.Lock{
		Mode: string(s.LockMode), For: time.Duration(s.LockDays) * 24 * time.Hour, LegalHold: s.LegalHold,
	}
}

// The forms of a KMS KeyId: a key id, an alias name, or the ARN of either. Source: the API
// reference, "Sign". A client secret made by Entra ID never matches.
var signingKeyForm = regexp.MustCompile(
	`^(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32}|alias/[A-Za-z0-9/_-]{1,250}|` +
		`arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:(?:key/[A-Za-z0-9-]+|alias/[A-Za-z0-9/_-]{1,250}))$`)

// evidence checks the settings for locking, signing and case ids.
func (c *check) evidence(s *Settings) {
	if s.LockDays < 1 || s.LockDays > lockDaysMax {
		c.wrong(varLockDays, "")
	}
	switch {
	case s.SigningKeyID != "" && !signingKeyForm.MatchString(s.SigningKeyID):
		c.wrong(varSigningKeyID, "")
	case s.SigningKeyID == "" && c.needs(varSigningKeyID):
		c.wrong(varSigningKeyID, "")
	}
	if strings.ContainsFunc(c.environ[varCasePattern], unicode.IsControl) {
		c.wrong(varCasePattern, "it contains control characters, such as a line break")
	}
	if c.environ[varCasePattern] == "" {
		s.CasePattern = investigation.DefaultCases()
	}
}

// casePatternMistake says why a pattern is invalid without quoting it.
func casePatternMistake(err error) string {
	if bad, ok := errors.AsType[*syntax.Error](err); ok {
		return bad.Code.String()
	}
	return err.Error()
}
