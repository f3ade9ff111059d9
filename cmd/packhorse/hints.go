package main

import (
	"crypto/x509"
	"errors"
	"net"
	"os"
	"syscall"

	"packhorse/internal/entra"
)

// hintFor says what may help with an error of the surroundings, or nothing. What the adapters know
// better they have said in the error itself.
func hintFor(err error) string {
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
	switch {
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
