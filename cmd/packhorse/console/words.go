// Package console shows the progress and the outcome of a run or a verification.
//
// Three reporters show a run: [Terminal] (progress bars), [Lines] (a plain log) and [JSON] (one object
// per line). A [Summary] follows each of them.
//
// The names of hosts and people come from Defender and may contain anything. All of them pass through
// Clean, CleanLine or WriteJSON, so a host name cannot send control characters to the terminal.
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

// widthMax is the maximum width of foreign text in a table, in columns.
const widthMax = 40

// hidden reports whether a character is not printable: it may control the terminal (U+001B, U+009B) or
// change the order in which others are shown (U+202E).
func hidden(r rune) bool { return !unicode.IsPrint(r) }

// replace returns s with every hidden character replaced.
func replace(s string, by rune) string {
	return strings.Map(func(r rune) rune {
		if hidden(r) {
			return by
		}
		return r
	}, s)
}

// Clean makes foreign text safe for a terminal and short enough for a column.
func Clean(s string) string {
	return cut(replace(s, '?'), widthMax, "…")
}

// host returns the DNS name of the action's machine or, without one, the start of its id.
func host(a investigation.Action) string {
	if a.ComputerDNSName != "" {
		return Clean(a.ComputerDNSName)
	}
	return a.MachineID[:min(12, len(a.MachineID))]
}

// Bytes formats a size in binary units.
func Bytes(n int64) string {
	const unit = 1024
	const rounded = unit - 0.05 // from here on, rounding to one digit gives 1024.0
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

// budgetLine says how many calls are free and when the next one will be. Without slots, the budget has not
// been read yet.
func budgetLine(freeAt []time.Time, now time.Time) string {
	if len(freeAt) == 0 {
		return "starting"
	}
	free := 0
	for _, at := range freeAt {
		if !at.After(now) {
			free++
		}
	}
	line := fmt.Sprintf("budget: %d of %d calls free", free, len(freeAt))
	if free < len(freeAt) {
		line += fmt.Sprintf(", next in %s", freeAt[free].Sub(now).Round(time.Second))
	}
	return line
}

// simulation marks the output of a simulation for people.
const simulation = "SIMULATION: the tenant and its packages are made up; nothing here is evidence"

// clock formats the time of day of an event.
func clock(t time.Time) string { return t.UTC().Format("15:04:05Z") }

// CleanLine makes foreign text safe for a terminal without shortening it. Line breaks become spaces.
func CleanLine(s string) string { return replace(s, ' ') }

// CleanText applies CleanLine to each line.
func CleanText(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = CleanLine(line)
	}
	return strings.Join(lines, "\n")
}

// WriteJSON writes v as one line of JSON in a single write. It escapes hidden characters: people who read
// the line see them, and decoders get the original text back.
func WriteJSON(out io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	line := make([]byte, 0, len(text)+1)
	for _, r := range string(text) { // outside of strings JSON is ASCII
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

// plainWord matches words that shells take literally. In zsh a leading = expands to the path of a command.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+:,./][A-Za-z0-9_@%+=:,./-]*$`)

// ShellQuote returns text quoted as a single shell word. It does not protect a leading hyphen: callers
// that use text as a file name must prevent it from being read as a flag.
func ShellQuote(text string) string {
	if plainWord.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// LineMax is the maximum width of running text in columns. Only a single longer word exceeds it.
const LineMax = 100

// Fill wraps text at LineMax columns. It prefixes the first line with first and the others with next.
func Fill(text, first, next string) string {
	var out strings.Builder
	out.WriteString(first)
	width, fresh := measure.StringWidth(first), true
	for word := range strings.FieldsSeq(text) {
		n := measure.StringWidth(word)
		switch {
		case fresh:
		case width+1+n > LineMax:
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
