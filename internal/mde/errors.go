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
	// errorBodyBytesMax is how much of an error body is read: Defender's have a few hundred bytes, a
	// proxy's error page may have far more than anybody wants.
	errorBodyBytesMax = 8 << 10

	// messageBytesMax bounds each text taken from an error body.
	messageBytesMax = 500

	// retryAfterMax caps Retry-After, so arithmetic on it cannot overflow.
	retryAfterMax = 24 * time.Hour
)

// StatusError is an unsuccessful response. Its texts come from the server, bounded, on one line,
// and without links or tokens. They are for people: decide by Status.
type StatusError struct {
	Status     int           // HTTP status
	Code       string        // Defender's or the storage service's code, such as "ResourceNotFound"
	Message    string        // free text
	Target     string        // Microsoft's correlation id, for a support case
	RetryAfter time.Duration // zero if the server sent none
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

// statusErrorOf reads the response body up to its limit and does not close it. The response MUST
// name its request.
func statusErrorOf(resp *http.Response, now time.Time) *StatusError {
	// A body that breaks off is still worth showing.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, errorBodyBytesMax))
	e := parseErrorBody(body, secretsIn(resp.Request)...)
	e.Status = resp.StatusCode
	e.RetryAfter = parseRetryAfter(resp.Header.Get("Retry-After"), now)
	return e
}

// parseErrorBody extracts what it can from an error body: Defender's JSON, a storage account's XML,
// or else the first bytes as text.
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
	// Azure puts a byte order mark in front, which the XML decoder rejects.
	document := bytes.TrimPrefix(body, []byte("\uFEFF"))
	if err := xml.Unmarshal(document, &fromStorage); err == nil {
		return &StatusError{
			Code:    clean(fromStorage.Code),
			Message: clean(strings.TrimSpace(fromStorage.Message + " " + fromStorage.Detail)),
		}
	}
	return &StatusError{Message: clean(string(body))}
}

// loose is a text that may arrive as another JSON type; it then holds the raw JSON.
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

// parseRetryAfter reads the header's two forms: seconds and an HTTP date. It returns zero for
// anything else and for a date in the past.
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

// secretsIn returns the secrets a request carried: the token or, for a download without one, the
// link.
func secretsIn(req *http.Request) []string {
	if _, token, ok := strings.Cut(req.Header.Get("Authorization"), " "); ok {
		return []string{token}
	}
	return investigation.SecretsOf(req.URL.String())
}

// clean makes untrusted text safe for an error: valid UTF-8, short, on one line, and without links,
// tokens or the given secrets.
func clean(s string, secrets ...string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r)
	}), " ")
	return cut(investigation.Redact(s, secrets...), messageBytesMax)
}

// withoutURL removes the URL from a net/http error; for a download it is the link.
func withoutURL(err error) error {
	for {
		with, ok := errors.AsType[*url.Error](err)
		if !ok {
			return err
		}
		err = fmt.Errorf("%s: %w", with.Op, with.Err)
	}
}

// without returns err with the secrets removed from its text: net/http quotes malformed responses,
// which may repeat them.
func without(secrets []string, err error) error {
	text := err.Error()
	redacted := investigation.Redact(text, secrets...)
	if redacted == text {
		return err
	}
	return &redactedError{text: redacted, cause: err}
}

// redactedError hides the text of its cause. errors.Is and errors.As reach the cause; Unwrap does
// not exist, so the text stays hidden.
type redactedError struct {
	text  string
	cause error
}

func (e *redactedError) Error() string { return e.text }

// Is lets errors.Is match the cause.
func (e *redactedError) Is(target error) bool { return errors.Is(e.cause, target) }

// As lets errors.As match the cause. Use it for decisions only, and never print the result.
func (e *redactedError) As(target any) bool { return errors.As(e.cause, target) }

// neverConnected reports whether the request cannot have reached the server because name
// resolution, the address, a proxy or a certificate stood in the way.
func neverConnected(err error) bool {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Op == "dial" || op.Op == "proxyconnect"
	}
	_, name := errors.AsType[*net.DNSError](err)
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	_, plaintext := errors.AsType[tls.RecordHeaderError](err)
	return name || certificate || plaintext
}
