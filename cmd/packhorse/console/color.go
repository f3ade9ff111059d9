package console

import "regexp"

// Color says whether outcomes are shown in color. Everything else is always plain.
type Color bool

// ColorFor decides by the user's environment, given as variables, for a terminal: NO_COLOR with any value
// and TERM=dumb mean no color (no-color.org).
func ColorFor(environ map[string]string) Color {
	return Color(environ["NO_COLOR"] == "" && environ["TERM"] != "dumb")
}

func (c Color) good(text string) string    { return c.paint("\x1b[32m", text) } // green
func (c Color) caution(text string) string { return c.paint("\x1b[33m", text) } // yellow
func (c Color) bad(text string) string     { return c.paint("\x1b[31m", text) } // red

func (c Color) paint(code, text string) string {
	if !c {
		return text
	}
	return code + text + "\x1b[39m"
}

var colorCode = regexp.MustCompile("\x1b\\[[0-9]+m")

// plain returns text without colors.
func plain(text string) string { return colorCode.ReplaceAllString(text, "") }

// columns returns how many columns a colored text takes.
func columns(text string) int { return measure.StringWidth(plain(text)) }
