// Package console shows people and programs what Packhorse is doing.
//
// A run has three reporters: [Terminal] draws progress bars, [Lines] writes a log, [JSON] writes an
// object per line. A [Summary] ends each of them. Verifications have [VerifyBars], [Quiet] and
// [VerifyJSON], which end with a [Verification].
//
// Host names, user names and comments come from Defender and may contain anything. Everything shown
// passes through Clean, CleanLine or WriteJSON first, so a host name cannot control the terminal.
package console

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"packhorse/internal/investigation"
)

// widthMax is the most columns that text from outside may take in a table.
const widthMax = 40

// hidden reports whether a character is invisible: it may control a terminal (U+001B, U+009B) or
// change the order in which others are shown (U+202E).
func hidden(r rune) bool { return !unicode.IsPrint(r) }

// replace returns s with by in place of each hidden character.
func replace(s string, by rune) string {
	return strings.Map(func(r rune) rune {
		if hidden(r) {
			return by
		}
		return r
	}, s)
}

// Clean makes text from outside safe for a terminal and short enough for a table: hidden characters
// become question marks.
func Clean(s string) string {
	return cut(replace(s, '?'), widthMax, "…")
}

// host names the action's machine: by its DNS name or, without one, by the start of its id.
func host(a investigation.Action) string {
	if a.ComputerDNSName != "" {
		return Clean(a.ComputerDNSName)
	}
	return a.MachineID[:min(12, len(a.MachineID))]
}

// Bytes formats a size in binary units, such as 1.5 MiB.
func Bytes(n int64) string {
	const unit = 1024
	const rounded = unit - 0.05 // from here on one digit would show 1024.0
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	size, suffix := float64(n)/unit, "KiB"
	for _, next := range []string{"MiB", "GiB", "TiB"} {
		if size < rounded {
			break
		}
		size, suffix = size/unit, next
	}
	return fmt.Sprintf("%.1f %s", size, suffix)
}

// simulation tells people that no real tenant is involved.
const simulation = "SIMULATION: the tenant and its packages are made up; nothing here is evidence"

// clock formats the time of day of an event.
func clock(t time.Time) string { return t.UTC().Format("15:04:05Z") }

// CleanLine makes text from outside safe for a terminal without shortening it: hidden characters, line
// ends included, become spaces.
func CleanLine(s string) string { return replace(s, ' ') }

// CleanText is CleanLine for each line of text.
func CleanText(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = CleanLine(line)
	}
	return strings.Join(lines, "\n")
}

// WriteJSON writes v as one line of JSON, in one write. Hidden characters in strings are escaped:
// people see them, and decoders get the original strings back.
func WriteJSON(out io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	line := make([]byte, 0, len(text)+1)
	for _, r := range string(text) { // outside strings JSON is plain ASCII
		if hidden(r) {
			for _, unit := range utf16.Encode([]rune{r}) {
				line = fmt.Appendf(line, `\u%04x`, unit)
			}
			continue
		}
		line = utf8.AppendRune(line, r)
	}
	_, err = out.Write(append(line, '\n'))
	return err
}

// plainWord matches words that no shell changes. (zsh expands =ls to the path of ls.)
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+:,./][A-Za-z0-9_@%+=:,./-]*$`)

// ShellQuote quotes text so that a shell reads it as one word, whatever it contains. It does not stop
// a command from taking text with a leading hyphen for an option.
func ShellQuote(text string) string {
	if plainWord.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// LineMax is the most columns in a line of running text, unless a single word is wider.
const LineMax = 100

// Fill breaks text into lines of at most LineMax columns. The first line starts with first, the others
// with next.
func Fill(text, first, next string) string { return FillTo(LineMax, text, first, next) }

// FillTo is Fill for lines of another width.
func FillTo(lineMax int, text, first, next string) string {
	var out strings.Builder
	out.WriteString(first)
	width, fresh := measure.StringWidth(first), true
	for word := range strings.FieldsSeq(text) {
		n := measure.StringWidth(word)
		switch {
		case fresh:
		case width+1+n > lineMax:
			out.WriteString("\n" + next)
			width = measure.StringWidth(next)
		default:
			out.WriteByte(' ')
			width++
		}
		out.WriteString(word)
		width += n
		fresh = false
	}
	return out.String()
}

// Count writes a number with separators: 2,000.
func Count(n int) string { return thousands(n) }
