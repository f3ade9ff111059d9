package advice_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"packhorse/cmd/packhorse/advice"
	"packhorse/internal/entra"
)

// knowing is an error that brings its own advice.
type knowing string

func (knowing) Error() string    { return "it is broken" }
func (k knowing) Advice() string { return string(k) }

// TestFor: an error's own advice comes first, a advice in the error itself is not repeated, and unknown errors
// get no advice.
func TestFor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want string
	}{
		{errors.New("it is broken"), ""},
		{fmt.Errorf("open: %w", knowing("mend it")), "mend it"},
		{errors.Join(knowing("mend it"), syscall.ENOSPC), "mend it"},
		{errors.Join(knowing(""), syscall.ENOSPC), "the disk is full"},
		{errors.Join(&entra.Error{Advice: "make a new secret"}, syscall.ECONNREFUSED), ""},
		{errors.Join(&entra.Error{}, syscall.ECONNREFUSED), "HTTPS_PROXY"},
		{x509.UnknownAuthorityError{}, "DEFENDER_CA_PEM"},
		{x509.HostnameError{Certificate: new(x509.Certificate)}, "DEFENDER_API_URL"},
		{&net.DNSError{Err: "no such host"}, "cannot be resolved"},
		{&net.OpError{Op: "dial", Err: syscall.EHOSTUNREACH}, "cannot be reached"},
		{fmt.Errorf("make the folder: %w", os.ErrPermission), "--data"},
		{errors.New("get identity: get credentials: no EC2 IMDS role found"), "aws sso login"},
	} {
		if got := advice.For(c.err); !strings.Contains(got, c.want) || (c.want == "") != (got == "") {
			t.Errorf("%v: got %q, want %q", c.err, got, c.want)
		}
	}
}
