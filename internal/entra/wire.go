package entra

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
)

// answerBytesMax bounds what is read of an answer: the longest, the discovery document, has 2 KiB.
const answerBytesMax = 1 << 20

// wire sends azidentity's requests: no redirect is followed, no cookie kept. It remembers the last
// failure to get an answer, because azidentity's errors keep only its words.
//
// It serves one request for a token, which azidentity performs step by step.
type wire struct {
	base    http.RoundTripper
	failure error // nil after an answer
}

// Do implements policy.Transporter.
func (w *wire) Do(req *http.Request) (*http.Response, error) {
	resp, err := w.base.RoundTrip(req)
	w.failure = err
	if err != nil {
		return nil, err
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, answerBytesMax), resp.Body}
	return resp, nil
}

// worthRetrying says which failures pass within seconds: no answer, unless its reason is the
// certificate, and the statuses of a service that is overloaded or restarting.
func worthRetrying(resp *http.Response, err error) bool {
	if err != nil {
		return !untrusted(err)
	}
	switch resp.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	default:
		return false
	}
}

// untrusted reports whether a connection was given up because of the server's certificate.
func untrusted(err error) bool {
	_, ok := errors.AsType[*tls.CertificateVerificationError](err)
	return ok
}
