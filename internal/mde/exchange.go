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

// idBytesMax bounds a host's request id. Microsoft's ids are GUIDs.
const idBytesMax = 128

// The headers that may hold a request's id, in order of preference. Microsoft documents no such
// headers for the Defender API; these come from its API guidelines (Azure's and the older ones) and
// from Azure Storage, which serves the packages.
var (
	requestIDHeaders     = []string{"X-Ms-Request-Id", "Request-Id", "X-Request-Id"}
	correlationIDHeaders = []string{
		"X-Ms-Correlation-Request-Id", "X-Ms-Correlation-Id", "Ms-Correlationid",
		"Client-Request-Id", "X-Ms-Client-Request-Id",
	}
)

// watch records when a request was sent and when the first byte of the response arrived. The API's
// transports do more inside RoundTrip, before (lease, token) and after (settle), and their own
// requests may inherit the context. So watch only records events of requests to its host.
type watch struct {
	now    func() time.Time
	host   string
	called time.Time // the fallback for a transport without trace events

	mu       sync.Mutex // guards the fields below
	ours     bool       // whether the last request written went to host
	asked    time.Time
	answered time.Time
}

// observe returns a context for one request to the host, and the watch that records it.
func (c *Client) observe(ctx context.Context, host string) (context.Context, *watch) {
	w := &watch{now: c.now, host: host, called: c.now()}
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteHeaderField: func(key string, values []string) {
			// HTTP/2 uses the second name.
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

// note sets the instant to now if the traced request goes to the watched host. A later event
// overwrites an earlier one: the simulator issues tokens on the API's host.
func (w *watch) note(instant *time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ours {
		*instant = w.now()
	}
}

// exchange returns the facts of the exchange after the response arrived.
func (w *watch) exchange(resp *http.Response) investigation.Exchange {
	w.mu.Lock()
	defer w.mu.Unlock()
	asked, answered := w.asked, w.answered
	if asked.IsZero() {
		asked = w.called
	}
	if answered.Before(asked) { // also true for the zero time
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

// idIn returns the first id found under the names, as printable ASCII, redacted and shortened.
func idIn(resp *http.Response, names []string) string {
	for _, name := range names {
		id := strings.Map(func(r rune) rune {
			if r < ' ' || r > '~' {
				return -1
			}
			return r
		}, cut(resp.Header.Get(name), headBytesMax)) // long enough to redact a secret before the id is shortened
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
