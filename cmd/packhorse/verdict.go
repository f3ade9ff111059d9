package main

import (
	"fmt"

	"packhorse/cmd/packhorse/console"
	"packhorse/internal/verify"
)

// verdictError is a verdict other than PASS, as the error of the command.
type verdictError struct {
	verdict verify.Overall
	text    string // free of what a terminal would obey
	advice  string

	partial       bool // what was checked agrees, and no check that was required is missing
	keyNotTrusted bool // and nobody vouches for the key that signed
}

func (e *verdictError) Error() string { return string(e.verdict) + ": " + e.text }

// Advice says what to do about it; empty where the text says all.
func (e *verdictError) Advice() string { return e.advice }

// verdictOf returns the error that a summary comes to, or nil.
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
			e.advice = "--from takes the folder that has packages/ and signing-keys/ in it, or one around it"
		}
	case verify.Partial:
		e.partial, e.keyNotTrusted = true, s.KeyNotTrusted()
		if unmade := s.Unmade(required); len(unmade) > 0 {
			e.partial = false
			e.text = console.CleanLine(fmt.Sprintf("%s was required and could not be checked: %s",
				unmade[0].Check, unmade[0].Why))
		}
	}
	return e
}
