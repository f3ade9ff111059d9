package settings

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Error lists every problem with the settings.
type Error struct {
	Problems []Problem // at least one, in the order of the variables in Settings
}

// Problem describes an invalid variable.
type Problem struct {
	Variable string
	Given    string // describes the value; shows its text only if it cannot be a secret
	Expected string // a noun phrase
	Example  string // a valid value
	Mistake  string // the likely mistake; may be empty
}

func (e *Error) Error() string {
	var text strings.Builder
	if len(e.Problems) == 1 {
		text.WriteString("a setting is wrong:")
	} else {
		fmt.Fprintf(&text, "%d settings are wrong:", len(e.Problems))
	}
	for _, p := range e.Problems {
		text.WriteString("\n  ")
		text.WriteString(p.String())
	}
	return text.String()
}

// String returns the problem on one line.
func (p Problem) String() string {
	text := fmt.Sprintf("%s %s: want %s, such as %s", p.Variable, p.Given, p.Expected, p.Example)
	if p.Mistake != "" {
		text += " (" + p.Mistake + ")"
	}
	return text
}

// marksMax bounds the punctuation marks a shape lists.
const marksMax = 6

// shape describes a value without revealing it: its length and the kinds of characters in it.
func shape(value string) string {
	if value == "" {
		return "is missing"
	}
	var kinds, marks []string
	add := func(list *[]string, kind string) {
		if !slices.Contains(*list, kind) {
			*list = append(*list, kind)
		}
	}
	for _, r := range value {
		switch {
		case r == '\n' || r == '\r':
			add(&kinds, "line breaks")
		case unicode.IsSpace(r):
			add(&kinds, "white space")
		case r > unicode.MaxASCII || r < ' ':
			add(&kinds, "characters that are not ASCII")
		case unicode.IsLetter(r):
			add(&kinds, "letters")
		case unicode.IsDigit(r):
			add(&kinds, "digits")
		default:
			add(&marks, string(r))
		}
	}
	if len(marks) > marksMax {
		marks = append(marks[:marksMax], "…")
	}
	if len(marks) > 0 {
		kinds = append(kinds, "and "+strings.Join(marks, " "))
	}
	return fmt.Sprintf("has %d characters (%s)", utf8.RuneCountInString(value),
		strings.Join(kinds, ", "))
}

// echoMax is the longest value, in bytes, that is shown: client secrets are longer.
const echoMax = 16

// echo shows the value of a non-secret variable if it is too short to be a misplaced secret.
func echo(value string) string {
	if value == "" || len(value) > echoMax {
		return shape(value)
	}
	return fmt.Sprintf("is %q", value)
}
