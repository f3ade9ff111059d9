package mde

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"packhorse/internal/investigation"
)

const (
	// errorBodyBytesMax is how much of an error's body is read: Defender's own have a few hundred
	// bytes, a proxy's error page has more than anybody wants.
	errorBodyBytesMax = 8 << 10

	// messageBytesMax bounds each text taken from an error's body.
	messageBytesMax = 500

	// retryAfterMax bounds what Retry-After can say, so that no arithmetic on it overflows.
	retryAfterMax = 24 * time.Hour
)

// StatusError is an answer that is not a success. Its texts are the server's, bounded, on one line
// and free of links and tokens; they are for people: decide by Status.
type StatusError struct {
	Status     int           // of HTTP
	Code       string        // Defender's or the storage's word for it, such as "ResourceNotFound"
	Message    string        // free text
	Target     string        // Microsoft's correlation id, for a support case
	RetryAfter time.Duration // zero where the server named none
}

func (e *StatusError) Error() string {
	text := &strings.Builder{}
	fmt.Fprintf(text, "the answer was %d %s", e.Status, http.StatusText(e.Status))
	if e.Code != "" {
		fmt.Fprintf(text, " (%s)", e.Code)
	}
	if e.Message != "" {
		fmt.Fprintf(text, ": %s", e.Message)
	}
	if e.Target != "" {
		fmt.Fprintf(text, " [correlation id %s]", e.Target)
	}
	return text.String()
}

// statusErrorOf reads the answer's body, as far as it is wanted, and does not close it. The answer MUST
// name its request.
func statusErrorOf(resp *http.Response, now time.Time) *StatusError {
	// A body that breaks off still says what it says.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, errorBodyBytesMax))
	e := parseErrorBody(body, secretsIn(resp.Request)...)
	e.Status = resp.StatusCode
	e.RetryAfter = parseRetryAfter(resp.Header.Get("Retry-After"), now)
	return e
}

// parseErrorBody takes what it can from an error's body: Defender's JSON, the XML of a storage
// account, or the beginning of whatever else it is.
func parseErrorBody(body []byte, secrets ...string) *StatusError {
	clean := func(s string) string { return clean(s, secrets...) }
	var fromAPI struct {
		Error struct{ Code, Message, Target loose }
	}
	if err := json.Unmarshal(body, &fromAPI); err == nil {
		inner := fromAPI.Error
		if inner.Code != "" || inner.Message != "" {
			return &StatusError{
				Code: clean(string(inner.Code)), Message: clean(string(inner.Message)),
				Target: clean(string(inner.Target)),
			}
		}
	}
	var fromStorage struct {
		XMLName xml.Name `xml:"Error"`
		Code    string
		Message string
		Detail  string `xml:"AuthenticationErrorDetail"`
	}
	// Azure puts a byte order mark in front, which is no part of XML.
	document := bytes.TrimPrefix(body, []byte("\uFEFF"))
	if err := xml.Unmarshal(document, &fromStorage); err == nil {
		return &StatusError{
			Code:    clean(fromStorage.Code),
			Message: clean(strings.TrimSpace(fromStorage.Message + " " + fromStorage.Detail)),
		}
	}
	return &StatusError{Message: clean(string(body))}
}

// loose is a text that may come as another JSON type; then it is that type's JSON.
type loose string

// UnmarshalJSON never fails.
func (l *loose) UnmarshalJSON(raw []byte) error {
	var s string
	switch err := json.Unmarshal(raw, &s); {
	case err == nil:
		*l = loose(s)
	case string(raw) != "null":
		*l = loose(raw)
	}
	return nil
}

// parseRetryAfter reads the header's two forms, seconds and an HTTP date. Anything else, and a date
// that has passed, is zero.
func parseRetryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, retryAfterMax)
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(date.Sub(now), 0), retryAfterMax)
}

// secretsIn returns what a request was sent with that opens something: the token, or, of a download, which
// has none, the link.
func secretsIn(req *http.Request) []string {
	if _, token, ok := strings.Cut(req.Header.Get("Authorization"), " "); ok {
		return []string{token}
	}
	return investigation.SecretsOf(req.URL.String())
}

// clean makes a foreign text fit for an error: valid, on one line, without links, tokens and the given
// secrets, and short.
func clean(s string, secrets ...string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r)
	}), " ")
	return cut(investigation.Redact(s, secrets...), messageBytesMax)
}

// withoutURL drops the URL from an error of net/http's, which for a download is the link.
func withoutURL(err error) error {
	for {
		with, ok := errors.AsType[*url.Error](err)
		if !ok {
			return err
		}
		err = fmt.Errorf("%s: %w", with.Op, with.Err)
	}
}

// without returns err, with a text from which the secrets are gone: what a server sends that makes no
// sense, net/http quotes.
func without(secrets []string, err error) error {
	text := err.Error()
	redacted := investigation.Redact(text, secrets...)
	if redacted == text {
		return err
	}
	return &redactedError{text: redacted, cause: err}
}

// redactedError is an error whose own text is not to be shown. It can be told what it is, but not
// unwrapped.
type redactedError struct {
	text  string
	cause error
}

func (e *redactedError) Error() string { return e.text }

// Is lets errors.Is find what the cause wraps.
func (e *redactedError) Is(target error) bool { return errors.Is(e.cause, target) }

// As lets errors.As find what the cause wraps. Decide by it; don't print it.
func (e *redactedError) As(target any) bool { return errors.As(e.cause, target) }

// neverConnected reports whether the request cannot have reached the server: name, address, proxy
// or certificate stood in the way.
func neverConnected(err error) bool {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Op == "dial" || op.Op == "proxyconnect"
	}
	_, name := errors.AsType[*net.DNSError](err)
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	_, plaintext := errors.AsType[tls.RecordHeaderError](err)
	return name || certificate || plaintext
}
