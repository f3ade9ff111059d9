package settings

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"packhorse/internal/hostlist"
)

// errBadRoot is wrapped by the errors of parseRoot, which do not quote the URL.
var errBadRoot = errors.New("not a root")

// parseRoot reads a URL that paths are appended to. It removes a trailing slash.
func parseRoot(text string) (url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return url.URL{}, errBadRoot // err quotes the URL
	}
	switch {
	case u.Scheme != "https":
		return url.URL{}, fmt.Errorf("%w: it does not begin with https://", errBadRoot)
	case u.User != nil:
		return url.URL{}, fmt.Errorf("%w: it has a user name", errBadRoot)
	case u.Path != "" && u.Path != "/", u.RawQuery != "", u.ForceQuery, u.Fragment != "",
		strings.HasSuffix(text, "#"), u.Opaque != "":
		return url.URL{}, fmt.Errorf("%w: something follows the host", errBadRoot)
	}
	hosts, err := hostlist.Parse([]string{u.Host})
	if err != nil || strings.HasPrefix(u.Host, ".") {
		return url.URL{}, fmt.Errorf("%w: the host is invalid", errBadRoot)
	}
	return url.URL{Scheme: "https", Host: hosts.Strings()[0]}, nil
}

// validScope reports whether scope is valid for a client-credentials token.
func validScope(scope string) bool {
	resource, ok := strings.CutSuffix(scope, "/.default")
	if !ok || strings.ContainsAny(scope, " \t\r\n,") {
		return false
	}
	u, err := url.Parse(resource)
	return err == nil && (u.Scheme == "https" || u.Scheme == "api") && u.Host != "" && u.User == nil
}

// checkPEM reports what is wrong with PEM certificates, without quoting them.
func checkPEM(text string) error {
	if strings.Contains(text, `\n`) {
		return errors.New(`it has the two characters \n instead of line breaks`)
	}
	rest := []byte(text)
	if len(strings.TrimSpace(text)) == 0 {
		return errors.New("it is only white space")
	}
	for i := 1; len(strings.TrimSpace(string(rest))) > 0; i++ {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			return fmt.Errorf("block %d is not PEM", i)
		}
		if block.Type != "CERTIFICATE" {
			return fmt.Errorf("block %d is not a certificate", i)
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return fmt.Errorf("block %d is not a readable certificate", i)
		}
	}
	return nil
}

// RootCAs returns the system's root certificates plus those of CAPEM. If CAPEM is empty it returns
// nil, which makes crypto/tls use the system's.
func (s Settings) RootCAs() (*x509.CertPool, error) {
	if s.CAPEM == "" {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("read the system's root certificates: %w", err)
	}
	if !pool.AppendCertsFromPEM([]byte(s.CAPEM)) {
		return nil, errors.New("read the certificates of " + varCAPEM + ": it has no certificates")
	}
	return pool, nil
}
