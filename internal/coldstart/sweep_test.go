package coldstart

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"packhorse/internal/mde/mdesim"
)

// sweptPages are the tenants that BenchmarkSweep lists.
var sweptPages = []struct {
	name           string
	pages, comment int // comment: its size in each row, in bytes
	known          bool
}{
	{"25-pages-4-KB", 25, 4 << 10, false},         // the ledger is empty: each row is written
	{"25-pages-4-KB-known", 25, 4 << 10, true},    // the ledger has them all: each row is read
	{"1-page-13-KB-rows", 1, 13_000 - 500, false}, // the largest page allowed
}

// rowsOfPage is the number of rows that the client requests.
const rowsOfPage = 5_000

// BenchmarkSweep reports the peak memory of the whole poll function (peak-rss-MiB) while it reads
// all of a tenant's actions. Defender, AWS and Lambda run in this process, the function in another.
func BenchmarkSweep(b *testing.B) {
	bootstrap := build(b, "packhorse/functions/poll")
	for _, tenant := range sweptPages {
		b.Run(tenant.name, func(b *testing.B) {
			for b.Loop() {
				w := newWorld(b, tenant.pages, tenant.comment, tenant.known)
				b.ReportMetric(w.sweep(b, bootstrap), "peak-rss-MiB")
			}
		})
	}
}

// world simulates every service that the poll function calls.
type world struct {
	pages   int
	comment string
	known   bool // the ledger knows every action
	server  *httptest.Server
	tenant  http.Handler // serves everything except the list
	now     time.Time

	mu       sync.Mutex // guards the fields below
	seen     map[string]bool
	swept    chan struct{} // closed once the function has seen every row
	failures []string
}

func newWorld(b *testing.B, pages, comment int, known bool) *world {
	b.Helper()
	w := &world{
		pages: pages, comment: strings.Repeat("x", comment), known: known, now: time.Now(),
		seen: map[string]bool{}, swept: make(chan struct{}),
	}
	w.server = httptest.NewTLSServer(http.HandlerFunc(w.serveDefender))
	b.Cleanup(w.server.Close)
	config := mdesim.Defaults()
	config.APIOrigin = w.server.URL
	w.tenant = mdesim.New(config, time.Now).API()
	return w
}

// sweep runs the function until it has seen every row, and returns its peak memory.
func (w *world) sweep(b *testing.B, bootstrap string) (peakMiB float64) {
	b.Helper()
	lambda := httptest.NewServer(http.HandlerFunc(w.serveLambda))
	defer lambda.Close()
	aws := httptest.NewServer(http.HandlerFunc(w.serveAWS))
	defer aws.Close()
	cmd := exec.CommandContext(b.Context(), bootstrap)
	cmd.Env = append(slices.Clone(environ),
		"AWS_LAMBDA_RUNTIME_API="+strings.TrimPrefix(lambda.URL, "http://"),
		"AWS_ENDPOINT_URL="+aws.URL, "DEFENDER_API_URL="+w.server.URL,
		"DEFENDER_AUTHORITY_URL="+w.server.URL, "GOMEMLIMIT=100MiB",
		"DEFENDER_CA_PEM="+string(pem.EncodeToMemory(&pem.Block{
			Type: "CERTIFICATE", Bytes: w.server.Certificate().Raw,
		})))
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-w.swept:
	case err := <-ended:
		b.Fatalf("the function ended: %v\n%s", err, log.String())
	}
	peakMiB = statusMiB(b, cmd.Process.Pid, "VmHWM")
	if err := cmd.Process.Kill(); err != nil {
		b.Fatal(err)
	}
	if err := <-ended; err == nil {
		b.Fatal("the function exited")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.failures) > 0 {
		b.Fatalf("%s\n%s", strings.Join(w.failures, "\n"), log.String())
	}
	return peakMiB
}

func (w *world) broke(format string, of ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failures = append(w.failures, fmt.Sprintf(format, of...))
}

// serveLambda is the runtime API, which sends one tick after another.
func (w *world) serveLambda(rw http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasSuffix(r.URL.Path, "/invocation/next"):
		rw.Header().Set("Lambda-Runtime-Aws-Request-Id", "tick")
		deadline := time.Now().Add(10 * time.Minute)
		rw.Header().Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(deadline.UnixMilli(), 10))
		_, _ = io.WriteString(rw, "{}")
	case strings.HasSuffix(r.URL.Path, "/error"):
		// On a busy machine a call can miss its deadline; the next tick continues.
		rw.WriteHeader(http.StatusAccepted)
	default:
		rw.WriteHeader(http.StatusAccepted)
	}
}

// idForm formats the id of the nth action, which can be parsed again.
const idForm = "%08x-c6ed-44ed-bb04-f1e3f160eff4"

// serveDefender serves the list page by page, and leaves the rest to the simulator.
func (w *world) serveDefender(rw http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/api/machineactions" {
		w.tenant.ServeHTTP(rw, r)
		return
	}
	skip, _ := strconv.Atoi(r.URL.Query().Get("$skip"))
	end := min(skip+rowsOfPage, w.pages*rowsOfPage)
	_, _ = io.WriteString(rw, `{"value":[`)
	for n := skip; n < end; n++ {
		if n > skip {
			_, _ = io.WriteString(rw, ",")
		}
		created := w.now.Add(-time.Duration(n+1800) * time.Second).UTC().Format(time.RFC3339)
		_, err := fmt.Fprintf(rw, `{"id":"`+idForm+`","type":"CollectInvestigationPackage","title":null,`+
			`"requestor":"analyst@contoso.com","requestorComment":"%s","status":"Pending",`+
			`"machineId":"1e5bc9d7e413ddd7902c2932e418702b84d0cc07","requestSource":"PublicApi",`+
			`"computerDnsName":"host-%d.contoso.com","errorHResult":0,"commands":[],`+
			`"creationDateTimeUtc":"%s","lastUpdateDateTimeUtc":"%s"}`, n, w.comment, n, created, created)
		if err != nil {
			return
		}
	}
	_, _ = io.WriteString(rw, `]`)
	if end < w.pages*rowsOfPage {
		_, _ = fmt.Fprintf(rw, `,"@odata.nextLink":"%s/api/machineactions?$skip=%d"`, w.server.URL, end)
	}
	_, _ = io.WriteString(rw, `}`)
}

// see records that the function read or wrote an action in the ledger.
func (w *world) see(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seen[key] {
		return
	}
	w.seen[key] = true
	if len(w.seen) == w.pages*rowsOfPage {
		close(w.swept)
	}
}

// serveAWS serves the secret, a ledger without due actions, and an unused budget.
func (w *world) serveAWS(rw http.ResponseWriter, r *http.Request) {
	var call struct {
		Key          map[string]map[string]string
		RequestItems map[string]struct {
			Keys []map[string]map[string]string
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&call); err != nil {
		w.broke("an AWS request is not JSON: %v", err)
	}
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	answer := map[string]any{}
	switch operation {
	case "GetSecretValue":
		answer["SecretString"] = mdesim.Defaults().ClientSecret
	case "GetItem":
	case "UpdateItem":
		w.see(call.Key["pk"]["S"])
	case "Query":
		answer["Items"] = []any{}
	case "BatchGetItem":
		items := []any{}
		for _, table := range call.RequestItems {
			for _, key := range table.Keys {
				if w.known {
					items = append(items, w.item(key["pk"]["S"]))
					w.see(key["pk"]["S"])
				}
			}
		}
		answer["Responses"] = map[string]any{"ledger": items}
	default:
		w.broke("unexpected operation %s", operation)
	}
	rw.Header().Set("Content-Type", "application/x-amz-json-1.0")
	_ = json.NewEncoder(rw).Encode(answer)
}

// item returns the ledger's item for an action whose outcome was announced.
func (w *world) item(key string) map[string]any {
	tenant, action, _ := strings.Cut(key, "#")
	item := map[string]any{}
	for name, value := range map[string]string{
		"pk": key, "version": "v", "tenantId": tenant, "actionId": action, "state": "done",
		"machineId": "1e5bc9d7e413ddd7902c2932e418702b84d0cc07", "requestorComment": w.comment,
		"status": "Failed", "reason": "Failed",
		"createdAt": "2026-11-01T00:00:00Z", "observedAt": "2026-11-01T00:00:00Z", "announcedAt": "2026-11-01T00:01:00Z",
	} {
		item[name] = map[string]string{"S": value}
	}
	return item
}
