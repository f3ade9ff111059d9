package datafolder_test

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"packhorse/cmd/packhorse/datafolder"
	"packhorse/cmd/packhorse/embedded"
	"packhorse/cmd/packhorse/simulation"
	"packhorse/internal/investigation"
	"packhorse/internal/mde/mdesim"
)

// realTenant is any tenant but the simulator's.
const realTenant = "3c9f8f6e-52d4-4a3e-9b5c-0e8a4b1f7d21"

// entries returns the names of the files in a folder.
func entries(t *testing.T, dir string) (names []string) {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		names = append(names, e.Name())
	}
	return names
}

// oldFolder creates a data folder like the releases that did not record an origin.
func oldFolder(t *testing.T, plan bool, tenants ...string) string {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	db, err := embedded.OpenDB(t.Context(), filepath.Join(data, datafolder.Database))
	if err != nil {
		t.Fatal(err)
	}
	for _, tenant := range tenants {
		a := investigation.Action{
			ID:        investigation.ID{TenantID: tenant, ActionID: strings.Repeat("ab", 20)},
			MachineID: strings.Repeat("cd", 20), Status: "Pending",
			CreatedAt: time.Now(), LastUpdatedAt: time.Now(),
		}
		_, err = embedded.NewLedger(db).Change(t.Context(), a.ID, investigation.Observe(a, time.Now()))
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if plan {
		if err := os.WriteFile(filepath.Join(data, simulation.PlanFile), []byte(`{"seed":1}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return data
}

// TestOldFolder: the origin of an old folder is inferred from its contents. In doubt it is evidence.
func TestOldFolder(t *testing.T) {
	t.Parallel()
	simulators := mdesim.Defaults().TenantID
	for name, c := range map[string]struct {
		data      string
		simulated bool
		warns     bool
	}{
		"a real tenant":            {data: oldFolder(t, false, realTenant)},
		"a tenant without actions": {data: oldFolder(t, false)},
		"a simulation":             {data: oldFolder(t, true, simulators), simulated: true},
		"a simulation that had not begun": {
			data: oldFolder(t, true), simulated: true,
		},
		"a run against packhorse simulate": {data: oldFolder(t, false, simulators), simulated: true},
		"both":                             {data: oldFolder(t, true, realTenant, simulators), warns: true},
		"both, the simulation not begun":   {data: oldFolder(t, true, realTenant), warns: true},
	} {
		for _, wanted := range []datafolder.Origin{{Simulated: true}, {Simulated: false}} {
			var log strings.Builder
			logger := slog.New(slog.NewTextHandler(&log, nil))
			err := datafolder.Check(t.Context(), c.data, wanted, logger)
			if refused := c.simulated != wanted.Simulated; refused == (err == nil) {
				t.Errorf("%s: simulated %t: got %v", name, wanted.Simulated, err)
			}
			if _, ok := errors.AsType[*datafolder.Error](err); err != nil && !ok {
				t.Errorf("%s: got %v", name, err)
			}
			if warned := strings.Contains(log.String(), "an earlier release"); warned != c.warns {
				t.Errorf("%s: log %q", name, log.String())
			}
		}
		// Once claimed, the folder records its origin and keeps it.
		is := datafolder.Origin{Simulated: c.simulated}
		if err := datafolder.Claim(t.Context(), c.data, is, slog.New(slog.DiscardHandler)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		text, err := os.ReadFile(filepath.Join(c.data, "origin.json"))
		if want := fmt.Sprintf("{\"simulated\":%t}\n", c.simulated); err != nil || string(text) != want {
			t.Errorf("%s: origin file %q, %v", name, text, err)
		}
		err = datafolder.Check(t.Context(), c.data, datafolder.Origin{Simulated: !c.simulated}, slog.New(slog.DiscardHandler))
		if err == nil {
			t.Errorf("%s: claimed for the other origin", name)
		}
	}
}

func TestNewFolder(t *testing.T) {
	t.Parallel()
	discard := slog.New(slog.DiscardHandler)
	data := filepath.Join(t.TempDir(), "a", "b")
	if err := datafolder.Check(t.Context(), data, datafolder.Origin{}, discard); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(data); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Check created the folder: %v", err)
	}
	// Of two concurrent claims for different origins, one wins.
	errs := make([]error, 8)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			errs[i] = datafolder.Claim(t.Context(), data, datafolder.Origin{Simulated: i%2 == 0}, discard)
		})
	}
	all.Wait()
	for i, err := range errs {
		if (err == nil) != (errs[i%2] == nil) || (errs[0] == nil) == (errs[1] == nil) {
			t.Errorf("%d: got %v", i, err)
		}
	}
	if got := entries(t, data); !slices.Equal(got, []string{"origin.json"}) {
		t.Errorf("the folder contains %q", got)
	}
	info, err := os.Stat(data)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("got %v, %v", info, err)
	}
	for _, damaged := range []string{"", "{}", "simulated"} {
		if err := os.WriteFile(filepath.Join(data, "origin.json"), []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		err := datafolder.Check(t.Context(), data, datafolder.Origin{}, discard)
		if _, ok := errors.AsType[*datafolder.Error](err); !ok {
			t.Errorf("%q: got %v", damaged, err)
		}
	}
	file := filepath.Join(data, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := datafolder.Check(t.Context(), file, datafolder.Origin{}, discard); err == nil {
		t.Error("a file was accepted as a data folder")
	}
}
