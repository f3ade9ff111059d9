package investigation

import (
	"html"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

const (
	linkRedacted  = "[link redacted]"
	tokenRedacted = "[token redacted]"

	// layersMax is how many layers of escapes are looked under: JSON in a query in JSON has three.
	layersMax = 4

	// secretBytesMin is the length below which a text is too ordinary to be removed wherever it stands.
	secretBytesMin = 8
)

// A slash and a separator, as they come: plain, JSON-escaped, percent-encoded.
const (
	slashForm     = `(?:\\*/|%(?:25)*2f|\\+u002f)`
	separatorForm = `(?:\\*["']?[\s+]*=[\s+]*\\*["']?|\\*["'][\s+]*:[\s+]*\\*["']?|%(?:25)*3d|\\+u003d|&(?:#0*61|#x0*3d|equals);)`
	valueForm     = `[^\s"'&<>,;]+`
)

// What could open something: whole addresses (a path may be as good as a query), with and without a
// scheme; the values of signing parameters; bearer values; and JSON web tokens.
var (
	linkForm = regexp.MustCompile(`(?i)(?:https?|\b[a-z][a-z0-9+.-]{0,15})?(?::|%(?:25)*3a|\\+u003a)` + slashForm +
		slashForm + `[^\s"'<>]*`)
	// A host with a dot or after two slashes, and something below it. A file's path is not one.
	bareLinkForm = regexp.MustCompile(`(?i)(^|[\s"'()\[\]<>=,;:@|])(?:` + slashForm + slashForm +
		`[a-z0-9_.\[\]:-]+|(?:[a-z0-9_-]+\.)+[a-z][a-z0-9-]+(?::\d+)?)` + slashForm + `[^\s"'<>]+`)
	parameterForm = regexp.MustCompile(`(?i)(sig|signature|token|secret|assertion|password)` +
		separatorForm + valueForm)
	// After a colon and a blank, ordinary words follow as well: only what looks like a secret is one.
	longValueForm = regexp.MustCompile(`(?i)(sig|signature|token|secret|assertion|password)` +
		`\s*(?::|%(?:25)*3a)\s*[a-z0-9+/_.~%=-]{16,}`)
	bearerForm = regexp.MustCompile(`(?i)bearer(?:\s|\+|:|=|%(?:25)*(?:20|3a)|\\+u0020|&nbsp;)+` +
		`[^\s"'<>]{6,}`)
	jwtForm = regexp.MustCompile(`eyJ[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)*`)
)

// Redact replaces what could be a link or a token in text, and the given secrets wherever they stand,
// in every form that JSON, URLs and HTML give them, some layers deep. Give it the link or token that was
// used, the longest text first ([SecretsOf]): a server may repeat it in a form nobody would take for one.
// Secrets shorter than 8 bytes are too ordinary and stay.
func Redact(text string, secrets ...string) string {
	for _, secret := range secrets { // first, while they are whole
		by := redacted
		if strings.Contains(secret, "://") {
			by = linkRedacted
		}
		text = layered(text, func(layer string) string { return remove(layer, secret, by) })
	}
	return layered(text, func(layer string) string {
		layer = linkForm.ReplaceAllLiteralString(layer, linkRedacted)
		layer = bareLinkForm.ReplaceAllString(layer, "${1}"+linkRedacted)
		layer = bearerForm.ReplaceAllLiteralString(layer, tokenRedacted)
		layer = jwtForm.ReplaceAllLiteralString(layer, tokenRedacted)
		layer = parameterForm.ReplaceAllString(layer, "$1=[redacted]")
		return longValueForm.ReplaceAllString(layer, "$1=[redacted]")
	})
}

// layered applies redact to text and to what it is without one, two and more layers of escapes. Where only
// that shows something, the result is without those layers too.
func layered(text string, redact func(string) string) string {
	text = redact(text)
	plain := text
	for range layersMax {
		next := unescape(plain)
		if next == plain {
			break
		}
		plain = redact(next)
		if plain != next {
			text = plain
		}
	}
	return text
}

// remove replaces secret in text, and what it is without its own escapes, whatever the case of letters.
func remove(text, secret, by string) string {
	for range layersMax {
		if len(secret) < secretBytesMin {
			return text
		}
		form, err := regexp.Compile(`(?i)` + regexp.QuoteMeta(secret))
		if err != nil { // it is not valid UTF-8, or too long for an expression
			text = strings.ReplaceAll(text, secret, by)
		} else {
			text = form.ReplaceAllLiteralString(text, by)
		}
		plain := unescape(secret)
		if plain == secret {
			return text
		}
		secret = plain
	}
	return text
}

// SecretsOf returns the parts of a link that are as good as the whole of it, longest first: without
// its scheme, path and query, the query, and the values in it.
func SecretsOf(link string) []string {
	u, err := url.Parse(link)
	if err != nil {
		return []string{link}
	}
	parts := []string{strings.TrimPrefix(link, u.Scheme+":"), strings.TrimPrefix(link, u.Scheme+"://"),
		u.RequestURI(), u.RawQuery, u.EscapedPath(), link[strings.LastIndexByte(link, '/')+1:]}
	for pair := range strings.SplitSeq(u.RawQuery, "&") {
		_, value, _ := strings.Cut(pair, "=")
		parts = append(parts, value)
	}
	secrets := []string{link}
	for _, part := range parts {
		if len(part) >= valueBytesMin {
			secrets = append(secrets, part)
		}
	}
	return secrets
}

// valueBytesMin is the length from which on a part of a link may be the key to it. Versions and
// permissions are shorter.
const valueBytesMin = 16

// What stands for another character.
var escapeForm = regexp.MustCompile(`(?i)%[2-7][0-9a-f]|\\+u00[2-7][0-9a-f]|\\+["'/\\]`)

// unescape takes one layer of escapes off the printable ASCII characters of text. What else there is
// stays, so the result can be printed if text can.
func unescape(text string) string {
	text = escapeForm.ReplaceAllStringFunc(text, func(escape string) string {
		digits := escape[len(escape)-2:]
		if c := escape[len(escape)-1]; c == '"' || c == '\'' || c == '/' || c == '\\' {
			return string(c)
		}
		n, err := strconv.ParseUint(digits, 16, 8)
		if err != nil || n == 0x7f {
			return escape // cannot be: the form has two digits
		}
		return string(rune(n))
	})
	if !strings.Contains(text, "&") {
		return text
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, html.UnescapeString(text))
}
