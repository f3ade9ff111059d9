// Package advice suggests what to do about an error.
package advice

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
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
// disk, and returns nothing if err already contains a more specific advice from Entra ID. It names the host
// or the path that failed, if the error does, and the setting that this host comes from. The text may
// contain anything that the error contains.
func For(err error) string {
	if refused, ok := errors.AsType[*entra.Error](err); ok && refused.Advice != "" {
		return ""
	}
	host := hostOf(err)
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return fmt.Sprintf("the issuer of the certificate of %s is not trusted: if a proxy inspects TLS, put its root into %s",
			host.or("the host"), host.roots())
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return fmt.Sprintf("the certificate of %s is for a different host: check %s", host.or("the host"), host.setting())
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return fmt.Sprintf("the name %s cannot be resolved: check the network, the proxy, and %s",
			host.or("of the host"), host.setting())
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
		return fmt.Sprintf("%s cannot be reached: check the network, the proxy, and %s", host.or("the host"), host.setting())
	case errors.Is(err, syscall.ENOSPC):
		return "the disk is full: free some space" + where(err, " on the disk of ") +
			", or use another data directory (--data)"
	case errors.Is(err, os.ErrPermission):
		return denied(err)
	default:
		return ""
	}
}

// pathOf returns the path that err is about, or an empty string.
func pathOf(err error) string {
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		return at.Path
	}
	if link, ok := errors.AsType[*os.LinkError](err); ok {
		return link.New
	}
	return ""
}

// where returns the path that err is about, after words, or an empty string.
func where(err error, words string) string {
	if path := pathOf(err); path != "" {
		return words + path
	}
	return ""
}

// denied is the advice for a file that may not be read or written.
func denied(err error) string {
	path := pathOf(err)
	if path == "" {
		return "a file or directory may not be used: fix its permissions, or use another data directory (--data)"
	}
	verb := "written"
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		verb = cmp.Or(verbs[at.Op], verb)
	}
	return fmt.Sprintf("%s may not be %s by this user: fix its permissions, or use another one", path, verb)
}

// verbs has the operations, as Go names them, that may only read.
var verbs = map[string]string{
	"open": "opened", "stat": "read", "lstat": "read", "read": "read", "readdirent": "read", "readlink": "read",
}

// remote is a host that failed.
type remote struct {
	name  string // without a port; empty if the error does not name one
	proxy bool   // it is the proxy
}

// hostOf returns the host that err is about: the one that could not be resolved, the proxy if that could not be
// reached, or else the host of the URL.
func hostOf(err error) remote {
	r := remote{}
	connection, failed := errors.AsType[*net.OpError](err)
	if failed && connection.Op == "proxyconnect" {
		r.proxy = true
		connection, failed = errors.AsType[*net.OpError](connection.Err)
	}
	if failed && connection.Addr != nil {
		r.name, _, _ = net.SplitHostPort(connection.Addr.String())
	}
	if of, ok := errors.AsType[*url.Error](err); ok && !r.proxy {
		if u, parseErr := url.Parse(of.URL); parseErr == nil && u.Hostname() != "" {
			r.name = u.Hostname()
		}
	}
	if wrong, ok := errors.AsType[x509.HostnameError](err); ok && wrong.Host != "" {
		r.name = wrong.Host
	}
	if unknown, ok := errors.AsType[*net.DNSError](err); ok && unknown.Name != "" {
		r.name = unknown.Name
	}
	return r
}

func (r remote) or(words string) string { return cmp.Or(r.name, words) }

// The domains of the services, in every cloud.
var (
	loginHosts   = []string{"login.microsoftonline.com", "login.microsoftonline.us"}
	apiHosts     = []string{".securitycenter.microsoft.com", ".security.microsoft.com", ".microsoft.us"}
	packageHosts = []string{
		".blob.core.windows.net", ".blob.core.usgovcloudapi.net", ".securitycenter.windows.com", ".securitycenter.windows.us",
	}
	awsHosts = []string{".amazonaws.com", ".amazonaws.com.cn", ".api.aws"}
)

func (r remote) is(domains []string) bool {
	for _, domain := range domains {
		if strings.HasSuffix("."+r.name, "."+strings.TrimPrefix(domain, ".")) {
			return true
		}
	}
	return false
}

// setting names what the host comes from.
func (r remote) setting() string {
	switch {
	case r.proxy:
		return "HTTPS_PROXY"
	case r.is(awsHosts):
		return "AWS_REGION and --s3-endpoint"
	case r.is(packageHosts):
		return "DEFENDER_LINK_HOSTS"
	case r.is(loginHosts):
		return "DEFENDER_CLOUD and DEFENDER_AUTHORITY_URL"
	case r.is(apiHosts):
		return "DEFENDER_CLOUD and DEFENDER_API_URL"
	default: // a proxy, or a host that the user chose
		return "DEFENDER_API_URL, DEFENDER_AUTHORITY_URL and HTTPS_PROXY"
	}
}

// roots names the variable with the certificates that are trusted for the host.
func (r remote) roots() string {
	if r.is(awsHosts) {
		return "AWS_CA_BUNDLE"
	}
	return "DEFENDER_CA_PEM"
}
