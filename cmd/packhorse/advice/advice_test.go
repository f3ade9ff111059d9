package advice_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"strconv"
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

// TestFor: an error's own advice comes first, advice in the error itself is not repeated, and unknown errors
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
		{errors.Join(&entra.Error{}, syscall.ECONNREFUSED), "the proxy"},
		{x509.UnknownAuthorityError{}, "of the host is not trusted: if a proxy inspects TLS, put its root into DEFENDER_CA_PEM"},
		{x509.HostnameError{Certificate: new(x509.Certificate)}, "DEFENDER_API_URL"},
		{&net.DNSError{Err: "no such host"}, "the name of the host cannot be resolved"},
		{&net.OpError{Op: "dial", Err: syscall.EHOSTUNREACH}, "the host cannot be reached"},
		{fmt.Errorf("make the folder: %w", os.ErrPermission), "--data"},
		{errors.New("get identity: get credentials: no EC2 IMDS role found"), "aws sso login"},
	} {
		if got := advice.For(c.err); !strings.Contains(got, c.want) || (c.want == "") != (got == "") {
			t.Errorf("%v: got %q, want %q", c.err, got, c.want)
		}
	}
}

// TestForNamesWhatFailed: the advice names the host or the path that the error is about, and the setting that it
// comes from, and no other.
func TestForNamesWhatFailed(t *testing.T) {
	t.Parallel()
	dial := func(address string, err error) error {
		host, port, _ := net.SplitHostPort(address)
		n, _ := strconv.Atoi(port)
		return &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.ParseIP(host), Port: n}, Err: err}
	}
	request := func(address string, err error) error {
		return fmt.Errorf("list: %w", &url.Error{Op: "Get", URL: address, Err: err})
	}
	unknown := func(name string) error {
		return &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}}
	}
	const api, login = "https://eu.api.security.microsoft.com/api/machineactions", "https://login.microsoftonline.us/x"
	for _, c := range []struct {
		err  error
		want string
	}{
		{request(api, unknown("eu.api.security.microsoft.com")), "the name eu.api.security.microsoft.com cannot be " +
			"resolved: check the network, the proxy, and DEFENDER_CLOUD and DEFENDER_API_URL"},
		{request(login, unknown("login.microsoftonline.us")), "the name login.microsoftonline.us cannot be " +
			"resolved: check the network, the proxy, and DEFENDER_CLOUD and DEFENDER_AUTHORITY_URL"},
		{request("https://evidence.s3.eu-west-1.amazonaws.com/", unknown("evidence.s3.eu-west-1.amazonaws.com")),
			"the name evidence.s3.eu-west-1.amazonaws.com cannot be resolved: check the network, the proxy, and " +
				"AWS_REGION and --s3-endpoint"},
		{request(api, &net.OpError{Op: "proxyconnect", Err: unknown("proxy.contoso.com")}),
			"the name proxy.contoso.com cannot be resolved: check the network, the proxy, and HTTPS_PROXY"},
		{request(api, &net.OpError{Op: "proxyconnect", Err: dial("10.0.0.8:3128", syscall.ECONNREFUSED)}),
			"10.0.0.8 cannot be reached: check the network, the proxy, and HTTPS_PROXY"},
		{request("https://a.blob.core.windows.net/p", dial("10.0.0.9:443", syscall.ENETUNREACH)),
			"a.blob.core.windows.net cannot be reached: check the network, the proxy, and DEFENDER_LINK_HOSTS"},
		{dial("10.0.0.9:443", syscall.EHOSTUNREACH), "10.0.0.9 cannot be reached: check the network, the proxy, and " +
			"DEFENDER_API_URL, DEFENDER_AUTHORITY_URL and HTTPS_PROXY"},
		{request(login, x509.UnknownAuthorityError{}), "the issuer of the certificate of login.microsoftonline.us is " +
			"not trusted: if a proxy inspects TLS, put its root into DEFENDER_CA_PEM"},
		{request("https://kms.eu-west-1.amazonaws.com/", x509.UnknownAuthorityError{}), "the issuer of the certificate " +
			"of kms.eu-west-1.amazonaws.com is not trusted: if a proxy inspects TLS, put its root into AWS_CA_BUNDLE"},
		{request(api, x509.HostnameError{Host: "eu.api.security.microsoft.com", Certificate: new(x509.Certificate)}),
			"the certificate of eu.api.security.microsoft.com is for a different host: check DEFENDER_CLOUD and " +
				"DEFENDER_API_URL"},
		{request("https://notsecurity.microsoft.us.example/", unknown("notsecurity.microsoft.us.example")),
			"the name notsecurity.microsoft.us.example cannot be resolved: check the network, the proxy, and " +
				"DEFENDER_API_URL, DEFENDER_AUTHORITY_URL and HTTPS_PROXY"},

		{&fs.PathError{Op: "open", Path: "/etc/report.html", Err: syscall.EACCES},
			"/etc/report.html may not be opened by this user: fix its permissions, or use another one"},
		{&fs.PathError{Op: "mkdir", Path: "/data", Err: syscall.EROFS}, ""},
		{&fs.PathError{Op: "mkdir", Path: "/data", Err: syscall.EACCES},
			"/data may not be written by this user: fix its permissions, or use another one"},
		{&fs.PathError{Op: "stat", Path: "/data", Err: syscall.EACCES},
			"/data may not be read by this user: fix its permissions, or use another one"},
		{&os.LinkError{Op: "rename", Old: "/tmp/a", New: "/out/b", Err: syscall.EPERM},
			"/out/b may not be written by this user: fix its permissions, or use another one"},
		{&fs.PathError{Op: "write", Path: "/out/b", Err: syscall.ENOSPC},
			"the disk is full: free some space on the disk of /out/b, or use another data directory (--data)"},
		{syscall.ENOSPC, "the disk is full: free some space, or use another data directory (--data)"},
	} {
		if got := advice.For(c.err); got != c.want {
			t.Errorf("%v:\ngot  %q\nwant %q", c.err, got, c.want)
		}
	}
}

// TestForKeepsSecrets: of a URL only the host is named, because a link is a credential.
func TestForKeepsSecrets(t *testing.T) {
	t.Parallel()
	err := &url.Error{Op: "Get", URL: "https://u:p@a.blob.core.windows.net/p.zip?sig=secret", Err: syscall.ECONNREFUSED}
	got := advice.For(err)
	if !strings.Contains(got, "a.blob.core.windows.net") || strings.Contains(got, "secret") || strings.Contains(got, "u:p") ||
		strings.Contains(got, "p.zip") {
		t.Errorf("got %q", got)
	}
}
