package settings

import (
	"fmt"
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

// lockedOtherwise names what an entry asks of the stack's own bucket, and the stack does not let its function do there:
// another lock could neither be undone nor be paid for by the one who wrote the entry. It takes a program that knows
// the bucket.
func (b Base) lockedOtherwise(of Settings) []tenant.Problem {
	if b.where != onAWS || b.environ[varArchiveBucket] == "" || of.ArchiveBucket != b.environ[varArchiveBucket] {
		return nil
	}
	stack, err := parse(map[string]string{
		varTenantsTable: "any", // no tenant is needed
		varLockMode:     b.environ[varLockMode], varLockDays: b.environ[varLockDays], varLegalHold: b.environ[varLegalHold],
	}, b.where)
	if err != nil { // the program itself does not start
		return nil
	}
	var found []tenant.Problem
	refuse := func(field, want string) {
		found = append(found, tenant.Problem{Field: field, Text: "want " + want + ", or a bucket of the tenant's own"})
	}
	if of.LockMode != stack.LockMode {
		refuse(tenant.FieldLockMode, "the stack's mode")
	}
	if of.LockMode != LockNone && of.LockDays > stack.LockDays {
		refuse(tenant.FieldLockDays, fmt.Sprintf("at most the stack's %d days", stack.LockDays))
	}
	if of.LegalHold && !stack.LegalHold {
		refuse(tenant.FieldLegalHold, "false, as in the stack")
	}
	return found
}
