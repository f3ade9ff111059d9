package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"packhorse/internal/mde/mdesim"
)

// The tenant ids of the customers in one data directory. The third customer has no packages.
const (
	contosoID   = "aaaaaaaa-0000-4000-8000-00000000000a"
	fabrikamID  = "bbbbbbbb-0000-4000-8000-00000000000b"
	northwindID = "cccccccc-0000-4000-8000-00000000000c"
)

// customers returns a data directory with three registered tenants. Contoso has two archived packages and Fabrikam has
// one, all of a host fin-ws-17 and of the case INC-4711. One action id is the same at both.
func customers(t *testing.T) (data string) {
	t.Helper()
	data = filepath.Join(t.TempDir(), "data")
	for id, actions := range map[string][]int{contosoID: {1, 2}, fabrikamID: {1}} {
		config := mdesim.Defaults()
		config.TenantID = id
		s, err := mdesim.Start(t.Context(), config, time.Now, "127.0.0.1:0", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		for _, i := range actions {
			a := action(i)
			if id == fabrikamID {
				a.ComputerDNSName, a.MachineID = "fin-ws-17.fabrikam.com", mdesim.MachineOf("fabrikam", i)
			}
			s.Add(a)
		}
		got := packhorse(t, environment(s, "DEFENDER_TENANT_ID", id), "run", "--until-idle", "--data", data)
		if got.code != exitDone {
			t.Fatalf("exit %d: %s%s", got.code, got.stdout, got.stderr)
		}
	}
	for id, name := range map[string]string{contosoID: "Contoso", fabrikamID: "Fabrikam Inc", northwindID: "Northwind"} {
		says(t, inProcess(nil, "tenant", "add", id, "--name", name, "--client-id", id, "--credential", "federated",
			"--no-check", "--data", data), exitDone)
	}
	return data
}

// TestCustomersApart: nothing hands one customer another's evidence by mistake. The case, the name of the host, and one
// action id exist at two customers.
func TestCustomersApart(t *testing.T) {
	t.Parallel()
	data := customers(t)
	shared := mdesim.IDOf("cli", 1)
	parent := t.TempDir()
	out := filepath.Join(parent, "x")
	for _, args := range [][]string{
		{"--case", "INC-4711"}, {"--machine", "fin-ws-17"}, {"--since", "2020-01-01"}, {"--all"}, {"INC-4711"},
		{mdesim.IDOf("cli", 2), "fin-ws-17.fabrikam.com"},
	} {
		got := packhorse(t, nil, append([]string{"export", "-o", out, "--data", data}, args...)...)
		says(t, got, exitFailed, "belong to 2 tenants; nothing was exported", contosoID, fabrikamID, " package", "Fabrikam Inc",
			"--tenant Contoso --tenant 'Fabrikam Inc'")
	}
	for _, args := range [][]string{
		{"export", shared, "-o", out}, {"get", shared[:8], "-o", out}, {"get", "INC-4711", "--newest", "-o", out}, {"get", "fin-ws-17", "-o", out},
		{"show", "fin-ws-17", "--newest"}, {"custody", "INC-4711", "--newest"}, {"verify", shared},
	} {
		says(t, packhorse(t, nil, append(args, "--data", data)...), exitFailed, "names", "packages", "Contoso", "Fabrikam Inc")
	}
	for _, rec := range listed(t, data, "--tenant", "fabrikam inc") {
		says(t, packhorse(t, nil, "get", rec.Key, "-o", out, "--tenant", "Contoso", "--data", data), exitFailed,
			"is not a key of tenant "+contosoID)
		says(t, packhorse(t, nil, "show", rec.Key, "--tenant", "Contoso", "--data", data), exitFailed)
	}
	if entries, err := os.ReadDir(parent); err != nil || len(entries) != 0 {
		t.Errorf("it left %v, %v", entries, err)
	}

	for name, c := range map[string]struct {
		args    []string
		tenants []string
		want    int
	}{
		"one":          {[]string{"--tenant", "Contoso"}, []string{contosoID}, 2},
		"the other":    {[]string{"--tenant", fabrikamID}, []string{fabrikamID}, 1},
		"both":         {[]string{"--tenant", "contoso", "--tenant", "FABRIKAM inc"}, []string{contosoID, fabrikamID}, 3},
		"one and none": {[]string{"--tenant", "Contoso", "--tenant", "Northwind"}, []string{contosoID}, 2},
	} {
		to := filepath.Join(t.TempDir(), "x")
		got := packhorse(t, nil, append([]string{"export", "--case", "INC-4711", "-o", to, "--data", data}, c.args...)...)
		says(t, got, exitDone, "PASS: ")
		text, err := os.ReadFile(filepath.Join(to, "index.json"))
		var index struct {
			Tenants     []string
			TenantNames map[string]string
			Packages    []struct{ TenantID string }
		}
		err = errors.Join(err, json.Unmarshal(text, &index))
		if err != nil || !slices.Equal(index.Tenants, c.tenants) || len(index.Packages) != c.want || len(index.TenantNames) != len(c.tenants) {
			t.Errorf("%s: got %+v, %v", name, index, err)
		}
		if len(c.tenants) == 1 {
			other := fabrikamID
			if c.tenants[0] == fabrikamID {
				other = contosoID
			}
			forEachFile(t, to, func(path, text string) {
				if strings.Contains(text, other) {
					t.Errorf("%s: %s has the id of the other customer", name, path)
				}
			})
		}
	}
	says(t, packhorse(t, nil, "export", "--case", "INC-4711", "--tenant", "Northwind", "-o", out, "--data", data), exitFailed, "no package matches")
	says(t, packhorse(t, nil, "verify", shared, "--tenant", "Contoso", "--data", data), exitDone, "PASS: ")
}

// forEachFile calls f with the path and the content of each file in a folder.
func forEachFile(t *testing.T, dir string, f func(path, text string)) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(dir, path))
		f(path, string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestListOfCustomers: the column TENANT is there if there are several tenants, and --tenant takes ids and names.
func TestListOfCustomers(t *testing.T) {
	t.Parallel()
	data := customers(t)
	got := inProcess(nil, "list", "--data", data)
	says(t, got, exitDone, "TENANT", "Contoso", "Fabrikam Inc")
	for _, name := range []string{"contoso", contosoID} {
		got = inProcess(nil, "list", "--tenant", name, "--data", data)
		says(t, got, exitDone, "fin-ws-17")
		if strings.Contains(got.stdout, "TENANT") || strings.Contains(got.stdout, "fabrikam") || len(lines(got.stdout)) != 3 {
			t.Errorf("got %s", got.stdout)
		}
	}
	says(t, inProcess(nil, "list", "--tenant", "Contosso", "--data", data), exitUsage, "did you mean Contoso?")
	says(t, inProcess(nil, "list", "--machine", "fin-ws-17", "--newest-pair", "--data", data), exitFailed, "--tenant")
	says(t, packhorse(t, nil, "custody", "fin-ws-17.fabrikam.com", "--tenant", "Contoso", "--data", data), exitFailed, "no package found")

	offers, _ := completed(t, "list", "--data", data, "--tenant", "")
	if !slices.Equal(offers[:3], []string{"Contoso\t" + contosoID, "Fabrikam Inc\t" + fabrikamID, "Northwind\t" + northwindID}) ||
		!slices.Equal(offers[3:], []string{contosoID + "\tContoso", fabrikamID + "\tFabrikam Inc", northwindID + "\tNorthwind"}) {
		t.Errorf("got %q", offers)
	}
	for typed, want := range map[string]string{"fab": "Fabrikam Inc\t" + fabrikamID, "BBB": fabrikamID + "\tFabrikam Inc"} {
		if offers, _ := completed(t, "export", "--data", data, "--tenant", typed); !slices.Equal(offers, []string{want}) {
			t.Errorf("%s: got %q", typed, offers)
		}
	}
	if offers, _ := completed(t, "show", "--data", data, "--tenant", "Fabrikam Inc", "fin"); len(offers) != 1 ||
		!strings.HasPrefix(offers[0], "fin-ws-17.fabrikam.com") {
		t.Errorf("got %q", offers)
	}
}
