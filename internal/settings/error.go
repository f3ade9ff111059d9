package settings

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Error lists everything that is wrong with the settings.
type Error struct {
	Problems []Problem // one at least, in the order of the variables in Settings
}

// Problem is what is wrong with one variable.
type Problem struct {
	Variable string
	Given    string // the shape of the value in words; its text only where that cannot be a secret
	Expected string // a noun phrase
	Example  string // a value that would do
	Hint     string // what may have happened; can be empty
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
	text := fmt.Sprintf("%s %s: it takes %s, such as %s", p.Variable, p.Given, p.Expected, p.Example)
	if p.Hint != "" {
		text += " (" + p.Hint + ")"
	}
	return text
}

// marksMax bounds the punctuation marks a shape lists.
const marksMax = 6

// shape describes a value without giving it away: its length and what kinds of characters it has.
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

// echoMax is the longest value, in bytes, that is shown as it is: client secrets are longer.
const echoMax = 16

// echo shows a value whose variable has nothing to do with secrets, if it is short enough not to be
// one in the wrong place.
func echo(value string) string {
	if value == "" || len(value) > echoMax {
		return shape(value)
	}
	return fmt.Sprintf("is %q", value)
}
