package zipinspect

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
)

// quotedMax is how much of a name is ever quoted, in bytes. A name may have 64 KiB.
const quotedMax = 100

// Names come from a machine that an attacker may control, and from the program that made the ZIP.
// What counts is what a careless unpacking program would make of them, on any system.

// leadsOut reports whether a name refers to a place outside the folder it is unpacked in.
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

// hasControls reports whether a name has invisible characters with an effect: control characters,
// including NUL, and those that change the direction of writing, which hide an extension.
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

// topOf returns the first segment of a name, with a slash if anything is below it.
func topOf(name []byte) string {
	at := bytes.IndexFunc(name, isSeparator)
	if at < 0 {
		return cut(string(name))
	}
	return cut(string(name[:at])) + "/"
}

func isSeparator(r rune) bool { return r == '/' || r == '\\' }

// cut returns the part of s that may be quoted.
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
