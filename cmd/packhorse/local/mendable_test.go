package local

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"

	"packhorse/internal/entra"
	"packhorse/internal/investigation"
	"packhorse/internal/mde"
)

// TestMendable: wrong settings and rejected credentials end a run at its start, however they are wrapped.
func TestMendable(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]bool{
		302: true, 400: true, 401: true, 403: true, 404: true, 407: true,
		408: false, 425: false, 429: false, 500: false, 502: false, 503: false, 504: false,
	} {
		err := fmt.Errorf("list: %w", &investigation.PostponedError{Err: &mde.StatusError{Status: status}})
		if got := mendable(err); got != want {
			t.Errorf("%d: got %t", status, got)
		}
	}
	for _, c := range []struct {
		err  error
		want bool
	}{
		{&investigation.PostponedError{Err: &entra.Error{Message: "refused"}}, true},
		{&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, true},
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, false},
		{&net.DNSError{Err: "no such host", IsNotFound: true}, false},
		{io.ErrUnexpectedEOF, false},
		{syscall.ENOSPC, false},
	} {
		if got := mendable(c.err); got != c.want {
			t.Errorf("%v: got %t", c.err, got)
		}
	}
}
