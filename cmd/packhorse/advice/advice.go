// Package advice says what to do about an error.
package advice

import (
	"crypto/x509"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"

	"packhorse/internal/entra"
)

// adviser is an error that knows what to do about it.
type adviser interface {
	error
	Advice() string
}

// For returns what may help with the error, or nothing. It is about the surroundings: an adapter that
// knows better has said so in the error itself.
func For(err error) string {
	if refused, ok := errors.AsType[*entra.Error](err); ok && refused.Hint != "" {
		return ""
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "the certificate's issuer is not trusted; does a proxy inspect TLS? put its root into DEFENDER_CA_PEM"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "the certificate is for another host: check DEFENDER_API_URL and DEFENDER_AUTHORITY_URL"
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return "the name cannot be resolved: check the network, the proxy, and DEFENDER_API_URL"
	}
	if adviser, ok := errors.AsType[adviser](err); ok && adviser.Advice() != "" {
		return adviser.Advice()
	}
	switch {
	case strings.Contains(err.Error(), "failed to retrieve credentials"),
		strings.Contains(err.Error(), "get identity: get credentials"):
		return "there are no AWS credentials: sign in (aws sso login), or set AWS_PROFILE"
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENETUNREACH),
		errors.Is(err, syscall.EHOSTUNREACH):
		return "the host cannot be reached: check the network, HTTPS_PROXY, and DEFENDER_API_URL"
	case errors.Is(err, syscall.ENOSPC):
		return "the disk is full: free some space, or name another folder with --data"
	case errors.Is(err, os.ErrPermission):
		return "the data folder cannot be written: name another with --data"
	default:
		return ""
	}
}
