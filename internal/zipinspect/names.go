package zipinspect

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
)

// quotedMax is how much of a name is ever repeated, in bytes. A name may have 64 KiB.
const quotedMax = 100

// Names come from a machine that somebody may own, and are written by whoever made the ZIP: here
// they are judged as what a program that unpacks carelessly would make of them, on any system.

// leadsOut reports whether a name means a place outside the folder it is unpacked in.
func leadsOut(name []byte) bool {
	if len(name) == 0 {
		return false
	}
	if name[0] == '/' || name[0] == '\\' {
		return true
	}
	letter := name[0] | 0x20
	if len(name) > 1 && name[1] == ':' && 'a' <= letter && letter <= 'z' {
		return true
	}
	for segment := range bytes.FieldsFuncSeq(name, isSeparator) {
		if string(segment) == ".." {
			return true
		}
	}
	return false
}

// hasControls reports whether a name has characters that are not shown but do something: control
// characters, NUL among them, and those that turn the direction of writing, which hide an ending.
func hasControls(name []byte) bool {
	for _, r := range string(name) {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return true
		}
	}
	return false
}

// isText reports whether a name is UTF-8, whatever the entry's flags say.
func isText(name []byte) bool { return utf8.Valid(name) }

// topOf returns the first segment of a name, with a slash if something is below it.
func topOf(name []byte) string {
	at := bytes.IndexFunc(name, isSeparator)
	if at < 0 {
		return cut(string(name))
	}
	return cut(string(name[:at])) + "/"
}

func isSeparator(r rune) bool { return r == '/' || r == '\\' }

// cut returns as much of s as is repeated.
func cut(s string) string {
	if len(s) <= quotedMax {
		return s
	}
	end := quotedMax
	for end > quotedMax-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return strings.Clone(s[:end]) + "…"
}
