package settings

import (
	"net/url"
	"slices"
)

// Cloud names one of Microsoft's clouds.
type Cloud string

// The clouds Defender for Endpoint is in.
const (
	Commercial Cloud = "commercial"
	GCC        Cloud = "gcc"
	GCCHigh    Cloud = "gcc-high"
	DoD        Cloud = "dod"
)

// endpoints is what a cloud stands for.
type endpoints struct {
	apiURL       string
	authorityURL string
	scope        string
	linkHosts    LinkHosts
}

// endpoints returns the cloud's endpoints, and whether there is such a cloud.
//
// API and sign-in hosts are from learn.microsoft.com/defender-endpoint/api/exposed-apis-list and
// learn.microsoft.com/defender-endpoint/gov. The commercial scope is the legacy resource on
// purpose: some APIs answer 403 to tokens for any other, even on the new host (exposed-apis-create-
// app-webapp). For the government clouds Microsoft states no resource; that it is the API's host is
// what clients in the field use.
//
// Microsoft documents no download hosts. The documented sample of a link leads to
// userrequests-us.securitycenter.windows.com, links seen in the field to blob storage; the suffixes
// of the government clouds are their counterparts, inferred.
func (c Cloud) endpoints() (endpoints, bool) {
	const (
		signIn           = "https://login.microsoftonline.com"
		signInGovernment = "https://login.microsoftonline.us"
		apiGCC           = "https://api-gcc.securitycenter.microsoft.us"
		apiGovernment    = "https://api-gov.securitycenter.microsoft.us"
		anyRole          = "/.default" // every application role that was granted
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
	case GCC: // it signs in and has its portal in the commercial cloud, hence both lists
		return endpoints{apiGCC, signIn, apiGCC + anyRole,
			slices.Concat(hostsGovernment, hosts)}, true
	case GCCHigh, DoD:
		return endpoints{apiGovernment, signInGovernment, apiGovernment + anyRole,
			hostsGovernment}, true
	default:
		return endpoints{}, false
	}
}

// fill sets from the cloud what is not set itself. It reports whether there is such a cloud.
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

// mustParse parses a URL of the table above.
func mustParse(text string) *url.URL {
	u, err := url.Parse(text)
	if err != nil {
		panic("settings: the cloud table has a bad URL: " + err.Error())
	}
	return u
}
