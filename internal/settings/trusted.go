package settings

import (
	"net/url"
	"slices"
	"strings"

	"packhorse/internal/tenant"
)

// apiHosts are Microsoft's domains of Defender's API, in all clouds.
func apiHosts() []string {
	return []string{
		".security.microsoft.com", ".securitycenter.microsoft.com", ".securitycenter.windows.com",
		".security.microsoft.us", ".securitycenter.microsoft.us",
	}
}

// untrusted names the addresses of an entry that are neither Microsoft's nor the program's own. A secret or an
// assertion is sent to the authority, and a token to the API: whoever can write the registry must not be able to send
// them elsewhere.
func (b Base) untrusted(t tenant.Tenant) []tenant.Problem {
	var found []tenant.Problem
	trust := func(field, text, variable string, microsoft func(host string) bool) {
		u, err := parseRoot(text)
		if err != nil || microsoft(u.Host) { // an invalid one is found elsewhere
			return
		}
		own, err := parseRoot(b.environ[variable])
		if err == nil && own == u {
			return
		}
		found = append(found, tenant.Problem{
			Field: field, Text: "want an address of Microsoft, or that of the stack: what is sent there is secret",
		})
	}
	trust(tenant.FieldAuthorityURL, t.AuthorityURL, varAuthorityURL, func(host string) bool {
		return slices.ContainsFunc([]Cloud{Commercial, GCC, GCCHigh, DoD}, func(c Cloud) bool {
			of, _ := c.endpoints()
			u, err := url.Parse(of.authorityURL)
			return err == nil && u.Host == host
		})
	})
	trust(tenant.FieldAPIURL, t.APIURL, varAPIURL, func(host string) bool {
		return slices.ContainsFunc(apiHosts(), func(domain string) bool { return strings.HasSuffix(host, domain) })
	})
	return found
}
