package mdesim

// Download is an outcome of a download.
type Download string

// The outcomes of a download. The zero Download sends the whole package with its length, a strong
// ETag and range support.
const (
	DownloadPlain       Download = ""
	DownloadChunked     Download = "chunked"      // whole, but of undeclared length, without ranges
	DownloadNoRange     Download = "no-range"     // whole and of declared length, without ranges
	DownloadCut         Download = "cut"          // the connection breaks in the middle
	DownloadCutNoRange  Download = "cut-no-range" // the same, but it cannot be resumed
	DownloadTruncated   Download = "truncated"    // of undeclared length, ends cleanly in the middle
	DownloadHTML        Download = "html"         // a web page with status 200
	DownloadNothing     Download = "nothing"      // status 200 and an empty body
	DownloadExpiredJSON Download = "expired-json" // refused as a safedownload host does
	DownloadExpiredXML  Download = "expired-xml"  // refused as Azure Blob Storage does
	DownloadElsewhere   Download = "elsewhere"    // redirected to a host that is not allowed
	DownloadRedirected  Download = "redirected"   // redirected within the same host
	DownloadSlow        Download = "slow"         // whole, with a pause in the middle
	DownloadStalled     Download = "stalled"      // sends nothing after the middle
	DownloadCorrupt     Download = "corrupt"      // whole, but the ZIP's directory is broken
	DownloadError       Download = "error"        // status 500
)

// Downloads lists every outcome.
func Downloads() []Download {
	return []Download{
		DownloadPlain, DownloadChunked, DownloadNoRange, DownloadCut, DownloadCutNoRange,
		DownloadTruncated, DownloadHTML, DownloadNothing, DownloadExpiredJSON, DownloadExpiredXML,
		DownloadElsewhere, DownloadRedirected, DownloadSlow, DownloadStalled, DownloadCorrupt,
		DownloadError,
	}
}

// Faults are switches. The zero Faults is a healthy service that answers as traces of real traffic
// show.
type Faults struct {
	NoNextLink        bool         `json:"noNextLink,omitempty"`        // clients must page with $skip
	PageSize          int          `json:"pageSize,omitempty"`          // most rows per page; 0 = as requested
	OldNames          bool         `json:"oldNames,omitempty"`          // lastUpdateTimeUtc, externalID
	SenselessRows     bool         `json:"senselessRows,omitempty"`     // adds rows no client can use
	QuotedLinks       bool         `json:"quotedLinks,omitempty"`       // as the documentation shows them
	Created           bool         `json:"created,omitempty"`           // getPackageUri answers 201
	NoRetryAfter      bool         `json:"noRetryAfter,omitempty"`      // for a 429
	SecretExpired     bool         `json:"secretExpired,omitempty"`     // AADSTS7000222
	TokenWithoutRoles bool         `json:"tokenWithoutRoles,omitempty"` // the app has no permissions
	ExpirySymptom     Download     `json:"expirySymptom,omitempty"`     // how an expired link is refused
	Status            map[Kind]int `json:"status,omitempty"`            // status for every call of a kind

	// Downloads lists the outcomes of an action's downloads in order; the last one repeats. The empty
	// id applies to every action that is not listed.
	Downloads map[string][]Download `json:"downloads,omitempty"`
}

// download returns the outcome of an action's nth download (from 0).
func (f Faults) download(actionID string, n int) Download {
	ways, ok := f.Downloads[actionID]
	if !ok {
		ways = f.Downloads[""]
	}
	if len(ways) == 0 {
		return DownloadPlain
	}
	return ways[min(n, len(ways)-1)]
}
