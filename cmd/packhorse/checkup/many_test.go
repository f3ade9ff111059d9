package checkup_test

import (
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"packhorse/cmd/packhorse/checkup"
	"packhorse/internal/doctor"
	"packhorse/internal/investigation"
	"packhorse/internal/ledger"
	"packhorse/internal/ledger/ledgertables"
	"packhorse/internal/localcloud/dynamotest"
	"packhorse/internal/settings"
	"packhorse/internal/tenant"
)

func idOf(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

// TestFleet: the healths of all tenants and who has work are read once for all; a tenant's newest records are read once for
// all of its checks, and everything if it has work.
func TestFleet(t *testing.T) {
	t.Parallel()
	table := dynamotest.Table(t, ledgertables.Ledger("ledger-"+rand.Text()))
	records := ledger.New(dynamotest.Client(dynamotest.Direct), table)
	now := time.Now()
	var ids []string
	for n := range 120 {
		ids = append(ids, idOf(n))
		if n%2 == 0 {
			continue
		}
		if err := records.SetHealth(t.Context(), idOf(n), tenant.Health{}.Succeeded(now)); err != nil {
			t.Fatal(err)
		}
	}
	for n, status := range []investigation.Status{"Succeeded", "Pending"} {
		a := investigation.Action{
			ID: investigation.ID{TenantID: idOf(n), ActionID: strings.Repeat("a", 40)}, MachineID: strings.Repeat("c", 40),
			Status: status, CreatedAt: now, LastUpdatedAt: now,
		}
		if _, err := records.Change(t.Context(), a.ID, investigation.Observe(a, now)); err != nil {
			t.Fatal(err)
		}
	}
	var wire dynamotest.Wire
	fleet := checkup.NewFleet(dynamotest.Client(&wire), table, ids)
	for n, id := range ids {
		one := fleet.Of(id)
		if h, err := one.Health(t.Context(), id); err != nil || h.SweptAt.IsZero() != (n%2 == 0) {
			t.Errorf("%d: %+v, %v", n, h, err)
		}
		if n > 2 {
			continue
		}
		for range 2 {
			open, err := one.Open(t.Context(), id)
			found, findErr := one.Find(t.Context(), investigation.Filter{State: string(investigation.StateArchived)})
			recent, recentErr := one.Recent(t.Context(), id)
			want := map[int]int{0: 1, 1: 1}[n]
			if err != nil || findErr != nil || recentErr != nil || len(open) != want || len(recent) != want || len(found) != 0 {
				t.Errorf("%d: %d open, %d recent, %d archived, %v, %v", n, len(open), len(recent), len(found), err, findErr)
			}
		}
	}
	want := map[string]int{"BatchGetItem": 2 + 2, "Scan": 1, "Query": 3}
	if calls := wire.Calls(); fmt.Sprint(calls) != fmt.Sprint(want) {
		t.Errorf("the calls are %v, want %v", calls, want)
	}
}

// TestHostsAreAskedOnce: however many tenants have them.
func TestHostsAreAskedOnce(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	t.Cleanup(server.Close)
	root := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	hosts := &checkup.Hosts{}
	for n := range 20 {
		one := checkup.Tenant{Now: time.Now, Parse: settings.ParseCLI, Hosts: hosts, Environ: map[string]string{
			"DEFENDER_TENANT_ID": idOf(n), "DEFENDER_CLIENT_ID": idOf(n), "DEFENDER_CLIENT_SECRET": "some~Secret", "DEFENDER_CA_PEM": root,
			"DEFENDER_API_URL": server.URL, "DEFENDER_AUTHORITY_URL": server.URL, "DEFENDER_LINK_HOSTS": ".blob.core.windows.net",
		}}
		ports := one.Ports()
		for variable, look := range map[string]doctor.Look[doctor.Answer]{"DEFENDER_API_URL": ports.API, "DEFENDER_AUTHORITY_URL": ports.Authority} {
			answer, err := look(t.Context())
			if err != nil || answer.Variable != variable || answer.Err != nil {
				t.Errorf("%s: got %+v, %v", variable, answer, err)
			}
		}
	}
	if n := requests.Load(); n != 1 {
		t.Errorf("%d requests", n)
	}
}
