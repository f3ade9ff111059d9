package local

import (
	"crypto/tls"
	"errors"
	"net/http"

	"packhorse/internal/entra"
	"packhorse/internal/mde"
)

// mendable reports whether only a person can mend err: a wrong setting or a refused credential. It returns
// false for what a service may get over by itself.
func mendable(err error) bool {
	if refusal, ok := errors.AsType[*entra.Error](err); ok {
		return !refusal.Passing()
	}
	if answer, ok := errors.AsType[*mde.StatusError](err); ok {
		switch answer.Status {
		case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
			return false
		default: // a redirect, too, says that the address is wrong: the API makes none
			return answer.Status < http.StatusInternalServerError
		}
	}
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	return untrusted
}
