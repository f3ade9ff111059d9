package settings

import (
	"net/url"
	"slices"
)

// Cloud names one of Microsoft's clouds.
type Cloud string

// The clouds that offer Defender for Endpoint.
const (
	Commercial Cloud = "commercial"
	GCC        Cloud = "gcc"
	GCCHigh    Cloud = "gcc-high"
	DoD        Cloud = "dod"
)

// endpoints are a cloud's hosts and scope.
type endpoints struct {
	apiURL       string
	authorityURL string
	scope        string
	linkHosts    LinkHosts
}

// endpoints returns the cloud's endpoints, and whether the cloud is known.
//
// API and sign-in hosts are from learn.microsoft.com/defender-endpoint/api/exposed-apis-list and
// learn.microsoft.com/defender-endpoint/gov. The commercial scope is deliberately the legacy
// resource: some APIs answer 403 to tokens for any other, even on the new host
// (exposed-apis-create-app-webapp). Microsoft does not document the resource of the government
// clouds; clients in the field use the API's host.
//
// Microsoft does not document the download hosts. The documented sample link points to
// userrequests-us.securitycenter.windows.com, and links seen in the field to blob storage. The
// suffixes of the government clouds are inferred from these.
func (c Cloud) endpoints() (endpoints, bool) {
	const (
		signIn           = "https://login.microsoftonline.com"
		signInGovernment = "https://login.microsoftonline.us"
		apiGCC           = "https://api-gcc.securitycenter.microsoft.us"
		apiGovernment    = "https://api-gov.securitycenter.microsoft.us"
		anyRole          = "/.default" // every granted application role
	)
	hosts := LinkHosts{
		".securitycenter.windows.com",
		".security.microsoft.com",
		".securitycenter.microsoft.com",
		".blob.core.windows.net",
	}
	hostsGovernment := LinkHosts{
		".securitycenter.windows.us",
		".security.microsoft.us",
		".securitycenter.microsoft.us",
		".blob.core.usgovcloudapi.net",
	}
	switch c {
	case Commercial:
		return endpoints{"https://api.security.microsoft.com", signIn,
			"https://api.securitycenter.microsoft.com" + anyRole, hosts}, true
	case GCC: // signs in through the commercial cloud and has its portal there, hence both lists
		return endpoints{apiGCC, signIn, apiGCC + anyRole,
			slices.Concat(hostsGovernment, hosts)}, true
	case GCCHigh, DoD:
		return endpoints{apiGovernment, signInGovernment, apiGovernment + anyRole,
			hostsGovernment}, true
	default:
		return endpoints{}, false
	}
}

// fill sets the unset fields from the cloud. It reports whether the cloud is known.
func (s *Settings) fill() bool {
	of, ok := s.Cloud.endpoints()
	if !ok {
		return false
	}
	if s.APIURL == nil {
		s.APIURL = mustParse(of.apiURL)
	}
	if s.AuthorityURL == nil {
		s.AuthorityURL = mustParse(of.authorityURL)
	}
	if s.Scope == "" {
		s.Scope = of.scope
	}
	if len(s.LinkHosts) == 0 {
		s.LinkHosts = of.linkHosts
	}
	return true
}

// mustParse parses a URL from the table above.
func mustParse(text string) *url.URL {
	u, err := url.Parse(text)
	if err != nil {
		panic("settings: the cloud table has a bad URL: " + err.Error())
	}
	return u
}
