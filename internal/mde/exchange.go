package mde

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"time"

	"packhorse/internal/investigation"
)

// idBytesMax bounds what a host calls a request. Microsoft's ids are GUIDs.
const idBytesMax = 128

// Where a host may say what it calls a request, in the order of preference. Microsoft documents the
// headers of no Defender API; these are those of its API guidelines (Azure's and the older ones) and
// of Azure Storage, which has the packages.
var (
	requestIDHeaders     = []string{"X-Ms-Request-Id", "Request-Id", "X-Request-Id"}
	correlationIDHeaders = []string{
		"X-Ms-Correlation-Request-Id", "X-Ms-Correlation-Id", "Ms-Correlationid",
		"Client-Request-Id", "X-Ms-Client-Request-Id",
	}
)

// watch notes when a request was sent and when its answer's head came. The transports of the API do
// more than that within RoundTrip, before (lease, token) and after (settle), and their own requests
// may inherit the context: so what is noted is what happens to the request that names the host.
type watch struct {
	now    func() time.Time
	host   string
	called time.Time // for a transport that tells nothing

	mu       sync.Mutex // guards what follows
	ours     bool       // the request that was written last
	asked    time.Time
	answered time.Time
}

// observe returns a context for one request to the host, and what watches it.
func (c *Client) observe(ctx context.Context, host string) (context.Context, *watch) {
	w := &watch{now: c.now, host: host, called: c.now()}
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteHeaderField: func(key string, values []string) {
			// HTTP/2 has the host under the second name.
			if key == "Host" || key == ":authority" {
				w.begins(strings.EqualFold(strings.Join(values, ","), w.host))
			}
		},
		WroteRequest:         func(httptrace.WroteRequestInfo) { w.note(&w.asked) },
		GotFirstResponseByte: func() { w.note(&w.answered) },
	}), w
}

func (w *watch) begins(ours bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ours = ours
}

// note sets the instant to now, if it is one of the request that is watched. A later one replaces an
// earlier one: the simulator gives out tokens on the API's host.
func (w *watch) note(instant *time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ours {
		*instant = w.now()
	}
}

// exchange returns what is known once the answer is here.
func (w *watch) exchange(resp *http.Response) investigation.Exchange {
	w.mu.Lock()
	defer w.mu.Unlock()
	asked, answered := w.asked, w.answered
	if asked.IsZero() {
		asked = w.called
	}
	if answered.Before(asked) { // as the zero time is
		answered = w.now()
	}
	e := investigation.Exchange{
		AskedAt: asked.UTC().Round(0), AnsweredAt: answered.UTC().Round(0), // no monotonic clock
		Host:          strings.ToLower(w.host),
		RequestID:     idIn(resp, requestIDHeaders),
		CorrelationID: idIn(resp, correlationIDHeaders),
	}
	if resp.TLS == nil {
		return e
	}
	e.TLSVersion = tls.VersionName(resp.TLS.Version)
	if chain := resp.TLS.PeerCertificates; len(chain) > 0 {
		sum := sha256.Sum256(chain[0].Raw)
		e.CertificateSHA256 = hex.EncodeToString(sum[:])
	}
	return e
}

// idIn returns the first id that one of the names has, as printable ASCII, redacted and short.
func idIn(resp *http.Response, names []string) string {
	for _, name := range names {
		id := strings.Map(func(r rune) rune {
			if r < ' ' || r > '~' {
				return -1
			}
			return r
		}, cut(resp.Header.Get(name), headBytesMax)) // what is cut off in a secret's middle is still one
		if id == "" {
			continue
		}
		id = strings.TrimSpace(investigation.Redact(id, secretsIn(resp.Request)...))
		if id != "" {
			return id[:min(len(id), idBytesMax)]
		}
	}
	return ""
}
