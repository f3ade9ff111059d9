package local

import (
	"crypto/tls"
	"errors"
	"net/http"

	"packhorse/internal/entra"
	"packhorse/internal/mde"
)

// mendable reports whether err needs a person to fix it: a wrong setting or a rejected credential. It returns
// false for errors that may go away on their own, such as an outage.
func mendable(err error) bool {
	if refusal, ok := errors.AsType[*entra.Error](err); ok {
		return !refusal.Passing()
	}
	if answer, ok := errors.AsType[*mde.StatusError](err); ok {
		switch answer.Status {
		case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
			return false
		default: // including redirects: the API never sends one, so the address is wrong
			return answer.Status < http.StatusInternalServerError
		}
	}
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	return untrusted
}
