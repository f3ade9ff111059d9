package mdesim

// Download is a way a download can go.
type Download string

// The ways a download can go. The zero Download is a whole package with its length, a strong ETag,
// and ranges.
const (
	DownloadPlain       Download = ""
	DownloadChunked     Download = "chunked"      // whole, but of undeclared length, without ranges
	DownloadNoRange     Download = "no-range"     // whole and of declared length, without ranges
	DownloadCut         Download = "cut"          // the connection breaks in the middle
	DownloadCutNoRange  Download = "cut-no-range" // the same, and it cannot be resumed
	DownloadTruncated   Download = "truncated"    // of undeclared length, ends cleanly in the middle
	DownloadHTML        Download = "html"         // a web page with status 200
	DownloadNothing     Download = "nothing"      // status 200 and no byte
	DownloadExpiredJSON Download = "expired-json" // refused as a safedownload host does
	DownloadExpiredXML  Download = "expired-xml"  // refused as Azure Blob Storage does
	DownloadElsewhere   Download = "elsewhere"    // redirected to a host that is on no list
	DownloadRedirected  Download = "redirected"   // redirected on the same host
	DownloadSlow        Download = "slow"         // whole, with a pause in the middle
	DownloadStalled     Download = "stalled"      // no byte after the middle, for ever
	DownloadCorrupt     Download = "corrupt"      // whole, but the ZIP's directory is broken
	DownloadError       Download = "error"        // status 500
)

// Downloads lists every way a download can go.
func Downloads() []Download {
	return []Download{
		DownloadPlain, DownloadChunked, DownloadNoRange, DownloadCut, DownloadCutNoRange,
		DownloadTruncated, DownloadHTML, DownloadNothing, DownloadExpiredJSON, DownloadExpiredXML,
		DownloadElsewhere, DownloadRedirected, DownloadSlow, DownloadStalled, DownloadCorrupt,
		DownloadError,
	}
}

// Faults are switches. The zero Faults is a service on a good day that answers as the traces of
// real traffic show it.
type Faults struct {
	NoNextLink        bool         `json:"noNextLink,omitempty"`        // page by $skip only
	PageSize          int          `json:"pageSize,omitempty"`          // rows a page at most; 0 = as asked
	OldNames          bool         `json:"oldNames,omitempty"`          // lastUpdateTimeUtc, externalID
	SenselessRows     bool         `json:"senselessRows,omitempty"`     // adds rows no client can use
	QuotedLinks       bool         `json:"quotedLinks,omitempty"`       // as the documentation shows them
	Created           bool         `json:"created,omitempty"`           // getPackageUri answers 201
	NoRetryAfter      bool         `json:"noRetryAfter,omitempty"`      // of a 429
	SecretExpired     bool         `json:"secretExpired,omitempty"`     // AADSTS7000222
	TokenWithoutRoles bool         `json:"tokenWithoutRoles,omitempty"` // nothing was granted
	ExpirySymptom     Download     `json:"expirySymptom,omitempty"`     // how a link too old is refused
	Status            map[Kind]int `json:"status,omitempty"`            // answer calls of a kind so

	// Downloads says how the downloads of an action go, one after another; the last stays. The
	// empty id stands for every action that is not named.
	Downloads map[string][]Download `json:"downloads,omitempty"`
}

// download returns how the nth download (from 0) of an action goes.
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
