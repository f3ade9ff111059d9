// Package advice suggests what to do about an error.
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

// adviser is an error that brings its own advice.
type adviser interface {
	error
	Advice() string
}

// For returns advice for err, or an empty string. It covers the environment, such as network, proxy and
// disk, and returns nothing if err already contains a more specific advice from Entra ID.
func For(err error) string {
	if refused, ok := errors.AsType[*entra.Error](err); ok && refused.Advice != "" {
		return ""
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "the certificate's issuer is not trusted: if a proxy inspects TLS, put its root into DEFENDER_CA_PEM"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "the certificate is for a different host: check DEFENDER_API_URL and DEFENDER_AUTHORITY_URL"
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return "the host name cannot be resolved: check the network, the proxy, and DEFENDER_API_URL"
	}
	if adviser, ok := errors.AsType[adviser](err); ok && adviser.Advice() != "" {
		return adviser.Advice()
	}
	switch {
	case strings.Contains(err.Error(), "failed to retrieve credentials"),
		strings.Contains(err.Error(), "get identity: get credentials"):
		return "AWS credentials are missing: sign in (aws sso login), or set AWS_PROFILE"
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENETUNREACH),
		errors.Is(err, syscall.EHOSTUNREACH):
		return "the host cannot be reached: check the network, HTTPS_PROXY, and DEFENDER_API_URL"
	case errors.Is(err, syscall.ENOSPC):
		return "the disk is full: free some space, or use another data directory (--data)"
	case errors.Is(err, os.ErrPermission):
		return "the data directory is not writable: fix its permissions, or use another one (--data)"
	default:
		return ""
	}
}
