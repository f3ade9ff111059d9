package event

import (
	"cmp"
	"strings"
	"unicode"
	"unicode/utf8"

	"packhorse/internal/investigation"
)

// plainMax bounds each text of a Plain, in characters, so that a message stays readable.
const plainMax = 100

// Plain repeats what people wrote about an action in characters that are safe inside JSON strings,
// Markdown and shells without escaping: letters, digits, spaces and .-_@+=/#. Any other character is
// a question mark. No field is ever empty. It is for consumers that cannot escape, such as
// EventBridge's input transformers; the other fields of a detail have the original text.
type Plain struct {
	Host      string `json:"host"`      // its DNS name; the machine id while Defender does not know the name
	Requestor string `json:"requestor"` // or "unknown"
	CaseID    string `json:"caseId"`    // or "none"
}

func plainOf(r investigation.Record) Plain {
	return Plain{
		Host:      cmp.Or(plain(r.ComputerDNSName), plain(r.MachineID), "unknown"),
		Requestor: cmp.Or(plain(r.Requestor), "unknown"),
		CaseID:    cmp.Or(plain(r.CaseID), "none"),
	}
}

// plain returns text with unsafe characters replaced, at most plainMax characters of it.
func plain(text string) string {
	text = strings.Map(func(r rune) rune {
		if r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune(" .-_@+=/#", r)) {
			return r
		}
		return '?'
	}, strings.TrimSpace(text))
	if characters := []rune(text); len(characters) > plainMax {
		text = string(characters[:plainMax])
	}
	return text
}
