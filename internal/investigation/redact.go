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

	// layersMax is how many layers of escapes are removed: JSON in a query in JSON has three.
	layersMax = 4

	// secretBytesMin is the shortest secret to remove: a shorter text is too ordinary, and occurs by chance.
	secretBytesMin = 8
)

// A slash and a separator: plain, JSON-escaped and percent-encoded.
const (
	slashForm     = `(?:\\*/|%(?:25)*2f|\\+u002f)`
	separatorForm = `(?:\\*["']?[\s+]*=[\s+]*\\*["']?|\\*["'][\s+]*:[\s+]*\\*["']?|%(?:25)*3d|\\+u003d|&(?:#0*61|#x0*3d|equals);)`
	valueForm     = `[^\s"'&<>,;]+`
)

// Anything that could grant access: whole addresses, with and without a scheme (a path may be as good
// as a query); the values of signing parameters; bearer values; and JSON web tokens.
var (
	linkForm = regexp.MustCompile(`(?i)(?:https?|\b[a-z][a-z0-9+.-]{0,15})?(?::|%(?:25)*3a|\\+u003a)` + slashForm +
		slashForm + `[^\s"'<>]*`)
	// A host with a dot or after two slashes, and a path. A file's path does not match.
	bareLinkForm = regexp.MustCompile(`(?i)(^|[\s"'()\[\]<>=,;:@|])(?:` + slashForm + slashForm +
		`[a-z0-9_.\[\]:-]+|(?:[a-z0-9_-]+\.)+[a-z][a-z0-9-]+(?::\d+)?)` + slashForm + `[^\s"'<>]+`)
	parameterForm = regexp.MustCompile(`(?i)(sig|signature|token|secret|assertion|password)` +
		separatorForm + valueForm)
	// Ordinary words may follow a colon and a blank too, so this takes only a value that looks random.
	longValueForm = regexp.MustCompile(`(?i)(sig|signature|token|secret|assertion|password)` +
		`\s*(?::|%(?:25)*3a)\s*[a-z0-9+/_.~%=-]{16,}`)
	bearerForm = regexp.MustCompile(`(?i)bearer(?:\s|\+|:|=|%(?:25)*(?:20|3a)|\\+u0020|&nbsp;)+` +
		`[^\s"'<>]{6,}`)
	jwtForm = regexp.MustCompile(`eyJ[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)*`)
)

// Redact replaces everything in text that could be a link or a token, and every occurrence of the given
// secrets, in any form that JSON, URLs and HTML give them, up to four layers deep. Pass the link or token
// that was used, the longest text first ([SecretsOf]): a server may repeat it in a form that does not look
// like one. Secrets shorter than 8 bytes are too ordinary and stay.
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

// layered applies redact to text as it is, and again after removing each layer of escapes. If redact finds
// something under a layer, the result has that layer removed too.
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

// remove replaces secret in text, with and without the secret's own escapes, in any letter case.
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

// SecretsOf returns the link and the parts of it that are as good as the whole, longest first: the link
// without its scheme, the path and query, the query, and the values in the query.
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

// valueBytesMin is the least length of a part that could grant access. Versions and permissions are
// shorter.
const valueBytesMin = 16

// An escape of a printable ASCII character.
var escapeForm = regexp.MustCompile(`(?i)%[2-7][0-9a-f]|\\+u00[2-7][0-9a-f]|\\+["'/\\]`)

// unescape removes one layer of escapes from the printable ASCII characters of text. It leaves all
// others escaped, so the result is printable if text is.
func unescape(text string) string {
	text = escapeForm.ReplaceAllStringFunc(text, func(escape string) string {
		digits := escape[len(escape)-2:]
		if c := escape[len(escape)-1]; c == '"' || c == '\'' || c == '/' || c == '\\' {
			return string(c)
		}
		n, err := strconv.ParseUint(digits, 16, 8)
		if err != nil || n == 0x7f {
			return escape // cannot happen: the form has two digits
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
