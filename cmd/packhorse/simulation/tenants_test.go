package simulation_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"packhorse/cmd/packhorse/simulation"
	"packhorse/internal/investigation"
	"packhorse/internal/mde/mdesim"
	"packhorse/internal/memory"
	"packhorse/internal/tenant"
)

// recordOf returns the record of an archived action.
func recordOf(t *testing.T, tenantID, name string) investigation.Record {
	t.Helper()
	a := investigation.Action{
		ID:        investigation.ID{TenantID: tenantID, ActionID: mdesim.IDOf(name)},
		MachineID: mdesim.MachineOf(name), Status: "Succeeded",
		CreatedAt: time.Now().UTC().Truncate(time.Second), LastUpdatedAt: time.Now().UTC(),
	}
	key, err := investigation.KeyOf("packages/", a)
	if err != nil {
		t.Fatal(err)
	}
	return investigation.Record{Action: a, Receipt: investigation.Receipt{Bucket: "evidence", Key: string(key)}}
}

// serve serves several tenants, and registers them.
func serve(t *testing.T, r *memory.Registry, tenants int) *simulation.Site {
	t.Helper()
	plan := simulation.Plan{Seed: 1, StartedAt: time.Now().UTC(), Actions: 12, Tenants: tenants, Sizes: []int64{1024}}
	site, err := simulation.Serve(t.Context(), "127.0.0.1:0", "127.0.0.1:0", plan, "secret", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = site.Close() })
	if err := site.Register(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return site
}

// TestRegister: the registry has exactly the simulated tenants of the site, besides those that are not simulated. What
// somebody did to an entry stays.
func TestRegister(t *testing.T) {
	t.Parallel()
	r := memory.NewRegistry()
	const other = "00000000-0000-4000-8000-000000000002"
	if _, err := r.Put(t.Context(), tenant.New(tenant.Tenant{ID: other, Name: "Other"}, time.Now())); err != nil {
		t.Fatal(err)
	}
	entries := func(want int) []tenant.Tenant {
		t.Helper()
		all, err := r.List(t.Context())
		if err != nil || len(all) != want {
			t.Fatalf("got %d entries, want %d: %v", len(all), want, err)
		}
		return all
	}
	environ := strings.Join(serve(t, r, 14).Environ(), "\n")
	if strings.Contains(environ, "DEFENDER_TENANT_ID") {
		t.Error("one of several tenants needs no entry")
	}
	names := map[string]bool{}
	for _, entry := range entries(15) {
		names[entry.Name] = true
		if simulation.IsTenant(entry.ID) == (entry.ID == other) {
			t.Errorf("%s: simulated is %t", entry.ID, simulation.IsTenant(entry.ID))
		}
		if entry.Name == "Fabrikam" {
			if _, err := r.Put(t.Context(), entry.Suspended(time.Now())); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(names) != 15 {
		t.Errorf("the names are %v", names)
	}
	serve(t, r, 3)
	if !slices.ContainsFunc(entries(4), func(e tenant.Tenant) bool { return e.State == tenant.Suspended && e.Name == "Fabrikam" }) {
		t.Error("an entry was replaced")
	}
	serve(t, r, 1)
	if all := entries(1); all[0].ID != other {
		t.Errorf("left %+v", all)
	}
}

// TestJudgeOfTenants: whatever is wrong with one tenant is in its judgement, and in no other.
func TestJudgeOfTenants(t *testing.T) {
	t.Parallel()
	r := memory.NewRegistry()
	site := serve(t, r, 4)
	entries, err := r.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{}
	for _, entry := range entries {
		ids[entry.Name] = entry.ID
	}
	folder := t.TempDir()
	stray := recordOf(t, ids["Northwind"], "stray")
	file := func(receipt investigation.Receipt) string {
		return filepath.Join(folder, "s3", receipt.Bucket, filepath.FromSlash(receipt.Key))
	}
	if err := os.MkdirAll(filepath.Dir(file(stray.Receipt)), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file(stray.Receipt), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	wrong := recordOf(t, ids["Woodgrove"], "wrong")
	wrong.TenantID = ids["Contoso"] // its key is Woodgrove's
	judge := func(finished bool) map[string]*simulation.Judgement {
		t.Helper()
		all, err := site.Judge(simulation.Stored{Folder: folder, File: file, Tenants: map[string]simulation.Outcome{
			ids["Contoso"]: {Records: []investigation.Record{wrong}}, ids["Fabrikam"]: {Finished: finished},
			ids["Northwind"]: {Finished: true}, ids["Woodgrove"]: {Finished: true},
		}})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	all := judge(true)
	rules := func(name string) string { return strings.Join(all[ids[name]].BrokenRules, "\n") }
	for name, want := range map[string]string{
		"Contoso": "not under a key of its own", "Fabrikam": "was ready and is not stored",
		"Northwind": "was ready and is not stored", "Woodgrove": "",
	} {
		if got := rules(name); !strings.Contains(got, want) || (want == "") != all[ids[name]].Passed {
			t.Errorf("%s: passed %t, %q", name, all[ids[name]].Passed, got)
		}
	}
	if all := judge(false); !all[ids["Fabrikam"]].Passed {
		t.Errorf("a run that was interrupted left %+v", all[ids["Fabrikam"]])
	}
	all, err = site.Judge(simulation.Stored{Folder: folder, File: file, Tenants: map[string]simulation.Outcome{
		ids["Northwind"]: {Finished: true}, ids["Woodgrove"]: {Finished: true},
	}})
	if err != nil || !strings.Contains(rules("Northwind"), "that no record names") || !all[ids["Woodgrove"]].Passed {
		t.Errorf("a stray package: %v, %q, %q", err, rules("Northwind"), rules("Woodgrove"))
	}
}
