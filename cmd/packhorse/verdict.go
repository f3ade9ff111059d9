package main

import (
	"fmt"
	"slices"
	"strings"

	"packhorse/cmd/packhorse/console"
	"packhorse/internal/verify"
)

// checkRequired reads --require.
func (o *evidenceOptions) checkRequired() error {
	for _, name := range o.require {
		check := verify.Check(name)
		switch {
		case name == "all":
			o.required = verify.Checks()
			return nil
		case !slices.Contains(verify.Checks(), check):
			return fmt.Errorf("--require: unknown check %.40q: write all, or some of %s", name, checkNames())
		}
		o.required = append(o.required, check)
	}
	return nil
}

func checkNames() string {
	var names []string
	for _, check := range verify.Checks() {
		names = append(names, string(check))
	}
	return strings.Join(names, ", ")
}

// verdictError is a verdict other than PASS, as the error of the command.
type verdictError struct {
	verdict verify.Overall
	text    string // free of what a terminal would obey
	code    int
	hint    string
}

func (e *verdictError) Error() string { return string(e.verdict) + ": " + e.text }

// verdict returns the error that a summary comes to, or nil.
func (o *evidenceOptions) verdict(s verify.Summary) error {
	e := &verdictError{verdict: s.Verdict(), text: console.CleanLine(s.Headline()), code: exitFailed}
	if e.verdict == verify.Pass {
		return nil
	}
	if n := len(s.Problems); e.verdict == verify.Fail && n > 1 {
		e.text += fmt.Sprintf(" (and %d more)", n-1)
	}
	if e.verdict == verify.Empty && s.Scope == (verify.Scope{}) {
		e.hint = "--from takes the folder that has packages/ and signing-keys/ in it, or one around it"
	}
	if e.verdict != verify.Partial {
		return e
	}
	e.code = exitPartial
	if s.KeyNotTrusted() {
		e.code = exitKeyNotTrusted
	}
	if unmade := s.Unmade(o.required); len(unmade) > 0 {
		e.code = exitFailed
		e.text = console.CleanLine(fmt.Sprintf("%s was required and could not be checked: %s", unmade[0].Check,
			unmade[0].Why))
	}
	return e
}
