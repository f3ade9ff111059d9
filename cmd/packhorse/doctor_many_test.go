package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestDoctorOfMany: of three registered tenants, one is well, one has the wrong secret, and one is suspended. The settings
// name no tenant.
func TestDoctorOfMany(t *testing.T) {
	config := tenantConfig()
	config.TenantID = contosoID
	s := serveTenant(t, config, time.Now)
	e := enrolment{
		t: t, data: filepath.Join(t.TempDir(), "data"), server: s,
		base: environment(s, "DEFENDER_TENANT_ID", "", "DEFENDER_CLIENT_SECRET", ""),
	}
	good := e.secretFile(config.ClientSecret)
	says(t, e.run("add", contosoID, "--name", "Contoso", "--client-id", config.ClientID, "--secret-file", good), exitDone)
	rest := []string{"--client-id", config.ClientID, "--no-check", "--secret-file", e.secretFile("wrong~value-of-a-secret")}
	says(t, e.run(append([]string{"add", fabrikamID, "--name", "Fabrikam Inc"}, rest...)...), exitDone)
	says(t, e.run(append([]string{"add", northwindID, "--name", "Northwind"}, rest...)...), exitDone)
	says(t, e.run("suspend", "Northwind"), exitDone)
	before := photograph(t, e.data)

	got := inProcess(e.base, "doctor", "--data", e.data)
	says(t, got, exitFailed, "2 registered and active, 1 suspended", "Tenants\n", "Fabrikam Inc: ", "1 tenant: all checks ok",
		"1 tenant is suspended, and was not checked", "Next: mend token of Fabrikam Inc")
	for _, text := range []string{"Contoso", "wrong~value", "DEFENDER_"} {
		if strings.Contains(got.stdout, text) {
			t.Errorf("it says %s:\n%s", text, got.stdout)
		}
	}
	if strings.Count(got.stdout, "data.folder") != 1 {
		t.Errorf("data.folder should appear once:\n%s", got.stdout)
	}

	says(t, inProcess(e.base, "doctor", "--tenant", "contoso", "--data", e.data), exitDone, "  ok       token", "  ok       list", "data.folder")
	says(t, inProcess(e.base, "doctor", "--tenant", fabrikamID, "--data", e.data), exitFailed, "  failed   token")
	says(t, inProcess(e.base, "doctor", "--tenant", "northwind", "--data", e.data), exitDone, "suspended: packhorse tenant resume continues")
	says(t, inProcess(e.base, "doctor", "--tenant", realTenant, "--data", e.data), exitUsage, "neither registered nor the tenant of the settings")

	got = inProcess(e.base, "doctor", "--json", "--data", e.data)
	names := map[string][]string{}
	for _, text := range lines(got.stdout) {
		var line struct{ Event, Name, TenantID, TenantName string }
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatal(err)
		}
		if line.Event == "check" {
			names[line.TenantName] = append(names[line.TenantName], line.Name)
		}
	}
	for _, of := range names {
		slices.Sort(of)
	}
	if !slices.Equal(names["Contoso"], names["Fabrikam Inc"]) || !slices.Contains(names["Contoso"], "sweeps") || len(names["Northwind"]) != 1 ||
		!slices.Contains(names[""], "data.folder") || slices.Contains(names[""], "sweeps") {
		t.Errorf("got %v", names)
	}
	for path, was := range photograph(t, e.data) { // the list call of the well tenant is counted in the ledger's file
		if before[path] != was && !strings.HasPrefix(filepath.Base(path), "packhorse.db") {
			t.Errorf("%s has changed", path)
		}
	}
	if _, err := os.Stat(filepath.Join(e.data, "signing-key.pem")); err == nil {
		t.Error("doctor made a key")
	}
}
