package main

import (
	"fmt"

	"packhorse/cmd/packhorse/console"
	"packhorse/internal/verify"
)

// verdictError is the error a command returns for a verdict other than PASS.
type verdictError struct {
	verdict verify.Overall
	text    string // without control characters
	advice  string

	partial       bool // everything checked agrees and every required check was made
	keyNotTrusted bool // additionally, only the archive vouches for the signing key
}

func (e *verdictError) Error() string { return string(e.verdict) + ": " + e.text }

// Advice says what to do about the verdict; empty if the text says it all.
func (e *verdictError) Advice() string { return e.advice }

// verdictOf returns the summary's verdict as an error, or nil if it is PASS.
func verdictOf(s verify.Summary, required []verify.Check) error {
	e := &verdictError{verdict: s.Verdict(), text: console.CleanLine(s.Headline())}
	switch e.verdict {
	case verify.Pass:
		return nil
	case verify.Fail:
		if n := len(s.Problems); n > 1 {
			e.text += fmt.Sprintf(" (and %d more)", n-1)
		}
	case verify.Empty:
		if s.Scope == (verify.Scope{}) {
			e.advice = "pass --from the folder that contains packages/ and signing-keys/, or one of its parent folders"
		}
	case verify.Partial:
		e.partial, e.keyNotTrusted = true, s.KeyNotTrusted()
		if unmade := s.Unmade(required); len(unmade) > 0 {
			e.partial = false
			e.text = console.CleanLine(fmt.Sprintf("the required check %s could not be made: %s",
				unmade[0].Check, unmade[0].Why))
		}
	}
	return e
}
