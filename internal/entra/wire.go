package entra

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
)

// answerBytesMax bounds a response: the longest, the discovery document, has 2 KiB.
const answerBytesMax = 1 << 20

// wire sends azidentity's requests. It follows no redirects and keeps no cookies. It remembers the
// last failure to get a response, because azidentity's errors keep only its text.
//
// Each wire serves one token request, whose steps azidentity sends one after another.
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

// worthRetrying reports whether a failure is likely to pass within seconds: a missing response,
// unless the certificate is the reason, or the status of an overloaded or restarting service.
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

// untrusted reports whether the connection failed because of the server's certificate.
func untrusted(err error) bool {
	_, ok := errors.AsType[*tls.CertificateVerificationError](err)
	return ok
}
