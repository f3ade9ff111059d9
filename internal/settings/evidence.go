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

// lockDaysMax is the longest retention that S3 takes, a hundred years. Source: the API reference,
// "DefaultRetention".
const lockDaysMax = 36500

// LockMode is how S3 keeps evidence from being deleted: the word that S3 has for it, or empty. The
// zero LockMode is no retention.
type LockMode string

// The modes of retention.
const (
	LockNone       LockMode = ""           // said as "NONE", because a variable set to nothing is not set
	LockGovernance LockMode = "GOVERNANCE" // who has s3:BypassGovernanceRetention can still delete
	LockCompliance LockMode = "COMPLIANCE" // nobody can, the account's owner included
)

var errBadLockMode = errors.New("no mode of retention")

// UnmarshalText reads the variable, in any case.
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

// Lock is how everything that is stored is locked.
func (s Settings) Lock() investigation.Lock {
	return investigation.Lock{
		Mode: string(s.LockMode), For: time.Duration(s.LockDays) * 24 * time.Hour, LegalHold: s.LegalHold,
	}
}

// What KMS takes as a KeyId: a key's id, an alias's name, or the ARN of either. Source: the API
// reference, "Sign". A client secret as Entra ID makes them is none of these.
var signingKeyForm = regexp.MustCompile(
	`^(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32}|alias/[A-Za-z0-9/_-]{1,250}|` +
		`arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:(?:key/[A-Za-z0-9-]+|alias/[A-Za-z0-9/_-]{1,250}))$`)

// evidence checks what is said of evidence: how it is locked, signed, and filed under a case.
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
		c.wrong(varCasePattern, "it has control characters, such as a line break")
	}
	if c.environ[varCasePattern] == "" {
		s.CasePattern = investigation.DefaultCases()
	}
}

// casePatternHint says what is wrong with a pattern, without a word of it.
func casePatternHint(err error) string {
	if bad, ok := errors.AsType[*syntax.Error](err); ok {
		return bad.Code.String()
	}
	return err.Error()
}
