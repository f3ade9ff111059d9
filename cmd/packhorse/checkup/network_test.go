package checkup_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"packhorse/cmd/packhorse/checkup"
	"packhorse/internal/localcloud/dynamotest"
	"packhorse/internal/settings"
)

// tenantOf returns the eyes on a tenant whose API is at a URL.
func tenantOf(url string) checkup.Tenant {
	return checkup.Tenant{
		Now: time.Now, Parse: settings.ParseCLI, Set: func(string, string) string { return "" },
		Environ: map[string]string{
			"DEFENDER_TENANT_ID": "3c9f8f6e-52d4-4a3e-9b5c-0e8a4b1f7d21",
			"DEFENDER_CLIENT_ID": "2b7e1516-28ae-4d2a-abf7-158809cf4f3c", "DEFENDER_CLIENT_SECRET": "some~Secret",
			"DEFENDER_API_URL": url, "DEFENDER_LINK_HOSTS": ".blob.core.windows.net",
		},
	}
}

// asked has what the proxy was asked for. net/http reads the variables of the proxy once in a process, so all tests
// have the same one; it is not used for addresses on loopback.
var asked = make(chan string, 10)

func TestMain(m *testing.M) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.Host + " " + r.Header.Get("Authorization")
		w.WriteHeader(http.StatusForbidden)
	}))
	for name, value := range map[string]string{"HTTPS_PROXY": proxy.URL, "https_proxy": proxy.URL, "NO_PROXY": "", "no_proxy": ""} {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	code := dynamotest.Main(m)
	proxy.Close()
	os.Exit(code)
}

// TestAsk sends nothing secret, and says through which proxy it asked.
func TestAsk(t *testing.T) {
	ports := tenantOf("https://api.example.com").Ports()
	answer, err := ports.API(t.Context())
	if err != nil || answer.Err == nil || "http://"+answer.Proxy != os.Getenv("HTTPS_PROXY") || answer.Host != "api.example.com" {
		t.Errorf("got %+v, %v", answer, err)
	}
	select {
	case got := <-asked:
		if got != "CONNECT api.example.com:443 " {
			t.Errorf("the proxy was asked %q", got)
		}
	default:
		t.Error("the proxy was not asked")
	}
	if links, err := ports.Links(t.Context()); err != nil || len(links) != 0 {
		t.Errorf("suffixes were looked up: %v, %v", links, err)
	}
}

// TestSilent: a host that accepts the connection and says nothing ends with the deadline, or with an interruption.
func TestSilent(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	ports := tenantOf("https://" + listener.Addr().String()).Ports()
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(50*time.Millisecond))
	defer cancel()
	answer, err := ports.API(ctx)
	if err != nil || answer.Err == nil || answer.Err.Error() != context.DeadlineExceeded.Error() {
		t.Errorf("got %+v, %v", answer, err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := tenantOf("https://" + listener.Addr().String()).Ports().API(ctx); err == nil {
		t.Error("an interruption is an answer")
	}
}
