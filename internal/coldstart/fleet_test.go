package coldstart

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"packhorse/internal/mde/mdesim"
	"packhorse/internal/tenant"
)

const (
	// fleetTenants is how many tenants BenchmarkFleet registers, unless PACKHORSE_TENANTS says otherwise. Each has
	// fleetActions actions in its look-back, which ended long ago.
	fleetTenants = 1_000
	fleetActions = 20

	// fleetTicks is how many ticks it sends, a minute apart: one that starts cold, and those after it.
	fleetTicks = 3

	// clockTick is the unit of the kernel's processor times (USER_HZ, a hundredth of a second on every platform).
	clockTick = 10 * time.Millisecond
)

// BenchmarkFleet reports what the whole poll function needs for many tenants: its peak memory (peak-rss-MiB), the
// processor time of the first tick, which starts cold, and of the last one, and how long they took. Defender, AWS and
// Lambda run in this process, the function in another. Every tenant has an app registration and a secret of its own,
// and a connection is made for each call, as in the cloud.
func BenchmarkFleet(b *testing.B) {
	n := fleetTenants
	if text := os.Getenv("PACKHORSE_TENANTS"); text != "" {
		var err error
		n, err = strconv.Atoi(text)
		if err != nil {
			b.Fatal(err)
		}
	}
	bootstrap := build(b, "packhorse/functions/poll")
	for b.Loop() {
		newFleet(b, n).run(b, bootstrap)
	}
}

// fleet simulates every service that the poll function calls for many tenants.
type fleet struct {
	defender *mdesim.Server
	entries  []map[string]any // of the registry

	mu       sync.Mutex // guards what follows
	next     chan bool  // answers the function's question for the next tick; false: there is none
	ended    chan string
	calls    map[string]int // of AWS, by operation
	failures []string
}

func newFleet(b *testing.B, tenants int) *fleet {
	b.Helper()
	config := mdesim.Defaults()
	config.TenantID = fleetTenant(0)
	server, err := mdesim.Start(b.Context(), config, time.Now, "127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = server.Close() })
	f := &fleet{defender: server, next: make(chan bool), ended: make(chan string), calls: map[string]int{}}
	now := time.Now().UTC().Truncate(time.Second)
	for i := range tenants {
		id := fleetTenant(i)
		sim := server.Simulator
		if i > 0 {
			sim = server.Join(id)
		}
		for n := range fleetActions {
			sim.Add(mdesim.Action{
				ID: fmt.Sprintf(idForm, i*fleetActions+n), MachineID: "1e5bc9d7e413ddd7902c2932e418702b84d0cc07",
				ComputerDNSName: "host.contoso.com", Requestor: "analyst@contoso.com", Comment: "INC-1 suspicious PowerShell",
				Source: "PublicApi", CreatedAt: now.Add(-time.Duration(n+2) * time.Hour), Steps: []mdesim.Step{{Status: "Failed"}},
			})
		}
		entry := tenant.New(tenant.Tenant{
			ID: id, Name: fmt.Sprint("customer ", i), ClientID: config.ClientID,
			Credential: tenant.Credential{Kind: tenant.ClientSecret, SecretID: "packhorse/" + id},
		}, now)
		item := map[string]any{"pk": text(id), "version": text("v1")}
		for name, value := range entry.Fields() {
			item[name] = text(value)
		}
		f.entries = append(f.entries, item)
	}
	return f
}

func fleetTenant(i int) string { return fmt.Sprintf("%08x-0000-4000-8000-000000000000", i) }

func text(value string) map[string]string { return map[string]string{"S": value} }

// run runs the function, and reports what it needs.
func (f *fleet) run(b *testing.B, bootstrap string) {
	b.Helper()
	lambda := httptest.NewServer(http.HandlerFunc(f.serveLambda))
	defer lambda.Close()
	aws := httptest.NewServer(http.HandlerFunc(f.serveAWS))
	defer aws.Close()
	cmd := exec.CommandContext(b.Context(), bootstrap)
	cmd.Env = append(slices.DeleteFunc(slices.Clone(environ), func(v string) bool { return strings.HasPrefix(v, "DEFENDER_") }),
		"AWS_LAMBDA_RUNTIME_API="+strings.TrimPrefix(lambda.URL, "http://"), "AWS_ENDPOINT_URL="+aws.URL,
		"TENANTS_TABLE=tenants", "DEFENDER_API_URL="+f.defender.APIURL, "DEFENDER_AUTHORITY_URL="+f.defender.APIURL,
		"DEFENDER_CA_PEM="+string(f.defender.CAPEM), "GOMEMLIMIT=100MiB")
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	for i := range fleetTicks {
		began, used := time.Now(), processTime(b, cmd.Process.Pid)
		f.next <- true
		answer := <-f.ended
		took, used := time.Since(began), processTime(b, cmd.Process.Pid)-used
		b.Logf("tick %d: %v, %v of a processor, %.1f MiB: %s", i+1, took.Round(time.Millisecond), used,
			statusMiB(b, cmd.Process.Pid, "VmRSS"), answer)
		var got struct{ Tenants, Completed, Failing int }
		if err := json.Unmarshal([]byte(answer), &got); err != nil || got.Tenants != len(f.entries) || got.Failing > 0 || got.Completed < got.Tenants {
			b.Fatalf("tick %d: %s, %v\n%.4000s", i+1, answer, err, log.String())
		}
		name := "warm"
		if i == 0 {
			name = "cold"
		}
		b.ReportMetric(took.Seconds(), name+"-s")
		b.ReportMetric(used.Seconds()*1e3/float64(len(f.entries)), name+"-cpu-ms/tenant")
		if i < fleetTicks-1 {
			time.Sleep(time.Minute - min(took, time.Minute)) // the schedule
		}
	}
	b.ReportMetric(statusMiB(b, cmd.Process.Pid, "VmHWM"), "peak-rss-MiB")
	f.mu.Lock()
	defer f.mu.Unlock()
	b.Logf("calls of AWS: %v", f.calls)
	if len(f.failures) > 0 {
		b.Fatal(strings.Join(f.failures, "\n"))
	}
}

// processTime returns how long a process has used a processor.
func processTime(b *testing.B, pid int) time.Duration {
	b.Helper()
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // the name before may contain spaces
	fields := strings.Fields(rest)
	user, err := strconv.Atoi(fields[11])
	if err != nil {
		b.Fatal(err)
	}
	system, err := strconv.Atoi(fields[12])
	if err != nil {
		b.Fatal(err)
	}
	return time.Duration(user+system) * clockTick
}

// serveLambda is the runtime API, which sends a tick when the benchmark wants one.
func (f *fleet) serveLambda(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/invocation/next") {
		select {
		case <-f.next:
		case <-r.Context().Done():
			return
		}
		w.Header().Set("Lambda-Runtime-Aws-Request-Id", "tick")
		w.Header().Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(time.Now().Add(90*time.Second).UnixMilli(), 10))
		_, _ = io.WriteString(w, "{}")
		return
	}
	answer, err := io.ReadAll(r.Body)
	if err != nil {
		answer = []byte(err.Error())
	}
	w.WriteHeader(http.StatusAccepted)
	f.ended <- string(answer)
}

// serveAWS serves the registry, the secrets, and a ledger that knows every action and has nothing due.
func (f *fleet) serveAWS(w http.ResponseWriter, r *http.Request) {
	var call struct {
		RequestItems map[string]struct {
			Keys []map[string]map[string]string
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&call); err != nil {
		f.broke("an AWS request is not JSON: %v", err)
	}
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	f.mu.Lock()
	f.calls[operation]++
	f.mu.Unlock()
	answer := map[string]any{}
	switch operation {
	case "GetSecretValue":
		answer["SecretString"] = mdesim.Defaults().ClientSecret
	case "GetItem", "PutItem", "UpdateItem":
	case "Query":
		answer["Items"] = []any{}
	case "Scan":
		answer["Items"] = f.entries
	case "BatchGetItem":
		items := []any{}
		for _, table := range call.RequestItems {
			for _, key := range table.Keys {
				items = append(items, (&world{comment: "INC-1 suspicious PowerShell"}).item(key["pk"]["S"]))
			}
		}
		answer["Responses"] = map[string]any{"ledger": items}
	default:
		f.broke("unexpected operation %s", operation)
	}
	body, err := json.Marshal(answer)
	if err != nil {
		f.broke("%v", err)
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	// Without it, or if it is wrong, the SDK does not use the connection again.
	w.Header().Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10))
	_, _ = w.Write(body)
}

func (f *fleet) broke(format string, of ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failures = append(f.failures, fmt.Sprintf(format, of...))
}
