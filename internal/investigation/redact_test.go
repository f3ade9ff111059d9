package investigation_test

import (
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"packhorse/internal/investigation"
)

const canary = "c4n4rY-of-Links"

// forms are the ways in which a server may repeat a text.
var forms = map[string]func(string) string{
	"plain":           func(s string) string { return s },
	"upper case":      strings.ToUpper,
	"lower case":      strings.ToLower,
	"in a query":      url.QueryEscape,
	"in a path":       url.PathEscape,
	"in a query, low": func(s string) string { return strings.ToLower(url.QueryEscape(s)) },
	"escaped twice":   func(s string) string { return url.QueryEscape(url.QueryEscape(s)) },
	"JSON":            inJSON,
	"JSON in JSON":    func(s string) string { return inJSON(inJSON(s)) },
	"JSON slashes":    func(s string) string { return strings.ReplaceAll(s, "/", `\/`) },
	"JSON of ASCII":   func(s string) string { return everyOne(s, `\u%04x`) },
	"every byte":      func(s string) string { return everyOne(s, "%%%02X") },
	"HTML":            html.EscapeString,
	"HTML, numbered":  func(s string) string { return everyOne(s, "&#%d;") },
	"query in JSON":   func(s string) string { return inJSON(url.QueryEscape(s)) },
	"in quotes":       func(s string) string { return fmt.Sprintf("%q", s) },
}

func inJSON(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return strings.Trim(string(text), `"`)
}

func everyOne(s, form string) string {
	var all strings.Builder
	for _, c := range []byte(s) {
		fmt.Fprintf(&all, form, c)
	}
	return all.String()
}

func checkGone(t *testing.T, text, redacted string) {
	t.Helper()
	if strings.Contains(strings.ToLower(redacted), strings.ToLower(canary)) {
		t.Errorf("%s\nstill shows it: %s", text, redacted)
	}
	if !utf8.ValidString(redacted) {
		t.Errorf("%q became invalid: %q", text, redacted)
	}
}

// Redact recognizes links and tokens in every form, even if they were not passed to it.
func TestRedactForms(t *testing.T) {
	for _, secret := range []string{
		"sig=" + canary, "sig = " + canary, "sp=r&sig=" + canary + "&se=2026", "Sig=" + canary,
		"X-Amz-Signature=" + canary, "token=" + canary, "access_token=" + canary,
		`"sig":"` + canary + `"`, `"token" : "` + canary + `"`, "token:" + canary + canary,
		"client_secret=" + canary, "client_assertion=" + canary,
		"Bearer " + canary, "bearer  " + canary, "Authorization: Bearer " + canary,
		"https://h.example/" + canary, "http://h.example:8080/x?y=" + canary,
		"//h.example/" + canary, "h.blob.core.windows.net/c/" + canary + ".zip?sv=1",
		"userrequests-us.securitycenter.windows.com:443/safedownload/x.zip?t=" + canary,
		"eyJ" + canary + ".eyJ" + canary + "." + canary,
	} {
		for name, form := range forms {
			for _, around := range []string{"%s", "the server said: %s, and no more", `{"message":"%s"}`, "(%s)"} {
				if name == "upper case" && strings.HasPrefix(secret, "eyJ") ||
					name == "lower case" && strings.HasPrefix(secret, "eyJ") ||
					strings.HasPrefix(name, "in a query, low") && strings.HasPrefix(secret, "eyJ") {
					continue // then it is no longer a token
				}
				text := fmt.Sprintf(around, form(secret))
				checkGone(t, name+": "+text, investigation.Redact(text))
			}
		}
	}
}

// Redact removes the link and the token that were used, no matter what they look like.
func TestRedactTheUsed(t *testing.T) {
	token := "opaque/+~" + canary
	link := "https://h.example/dl/" + canary + "/p.zip?k=" + canary + "%2Bx%2f" + canary + "&v=it's;" + canary
	secrets := append(investigation.SecretsOf(link), token)
	_, bare, _ := strings.Cut(link, "https:")
	_, target, _ := strings.Cut(link, "h.example")
	_, query, _ := strings.Cut(link, "?")
	for _, part := range []string{token, link, bare, strings.TrimPrefix(bare, "//"), target, query} {
		for name, form := range forms {
			for _, around := range []string{"%s", "x%sy", "no such thing: '%s'", `{"message":"%s"}`} {
				text := fmt.Sprintf(around, form(part))
				checkGone(t, name+": "+text, investigation.Redact(text, secrets...))
			}
		}
	}
	for _, link := range []string{"https://h.example/dl/" + canary, "https://h.example/" + canary + canary} {
		path := strings.TrimPrefix(link, "https://h.example")
		text := "there is no " + path
		checkGone(t, text, investigation.Redact(text, investigation.SecretsOf(link)...))
	}
}

// Redact keeps the parts of an error that people need to understand it.
func TestRedactKeepsTheRest(t *testing.T) {
	for _, text := range []string{
		"", "the answer was 404 Not Found (ResourceNotFound): Machine 123 was not found",
		`the link leads to "evil.example", which is not among the allowed link hosts (DEFENDER_LINK_HOSTS)`,
		"the bearer token is not for this host: \"evil.example\"",
		"get a token from Entra ID: AADSTS7000215: Invalid client secret provided. Ensure the secret being sent",
		"dial tcp 10.0.0.7:443: connect: connection refused", "lookup api.security.microsoft.com: no such host",
		"open /var/lib/packhorse/data.d/ledger.db: permission denied", "5% of 100%, 100%25 sure", `a "quoted" word`,
		"Signature not valid in the specified time frame: Start [Mon, 23 Nov 2026 12:00:00 GMT]",
		"the download ended at byte 7 of 9: unexpected EOF", "AT&T &c., and/or text/html", "ProtocolVersion TLS 1.2/1.3",
		"ask for the link: lease a slot: budget t#c#getPackageUri is spent until 2026-11-23T12:00:00Z",
	} {
		if got := investigation.Redact(text, "opaque/token-value"); got != text {
			t.Errorf("%s\nbecame %s", text, got)
		}
	}
}

func FuzzRedact(f *testing.F) {
	for _, seed := range []string{"", "sig=x", "%2573ig%253Dx", "https:\\/\\/h/x", "&#115;ig=x", "\\u0073ig=1",
		"Bearer%20abcdefgh", "//h/x", "\xff%ff\\"} {
		f.Add(seed, "opaque/token")
	}
	f.Fuzz(func(t *testing.T, text, secret string) {
		got := investigation.Redact(text, secret)
		if utf8.ValidString(text) && !utf8.ValidString(got) {
			t.Errorf("%q became invalid: %q", text, got)
		}
		if len(secret) >= 8 && strings.Contains(got, secret) &&
			!strings.Contains("[link redacted] [token redacted]", secret) {
			t.Errorf("%q is left in %q", secret, got)
		}
		if strings.Contains(got, "://") {
			t.Errorf("a link is left in %q", got)
		}
	})
}
