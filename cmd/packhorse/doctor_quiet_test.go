package main

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"packhorse/cmd/packhorse/datafolder"
	"packhorse/internal/mde/mdesim"
)

// photograph describes every file of a folder: its mode and its bytes.
func photograph(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		files[path] = info.Mode().String()
		if !info.Mode().IsRegular() {
			return nil
		}
		text, err := os.ReadFile(path)
		files[path] += fmt.Sprintf(" %x", sha256.Sum256(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestDoctorChangesNothing: doctor creates no file, changes none but the budget's count of its one list call, and
// requests no link.
func TestDoctorChangesNothing(t *testing.T) {
	t.Parallel()
	i := install(t)
	database := filepath.Join(i.data, datafolder.Database)
	for _, version := range []string{"4", "99", "3"} { // this one, a later one, and an earlier one that a run upgrades
		i.query("PRAGMA user_version = " + version)
		before := photograph(t, i.data)
		calls := i.server.Judge().Verdict().Calls
		_, _, got := i.look()
		after := photograph(t, i.data)
		if version == "4" {
			delete(before, database)
			delete(after, database)
		}
		if !maps.Equal(before, after) {
			t.Errorf("version %s: before %v\nafter %v\n%s", version, before, after, got.stdout)
		}
		now := i.server.Judge().Verdict()
		if now.Calls[mdesim.KindList] != calls[mdesim.KindList]+1 || now.Calls[mdesim.KindPackageURI] != calls[mdesim.KindPackageURI] ||
			len(now.BrokenRules) > 0 {
			t.Errorf("version %s: the calls were %v, now %+v", version, calls, now)
		}
	}
}

// TestDoctorOtherApp: a package that another app archived does not prove that this one may request links.
func TestDoctorOtherApp(t *testing.T) {
	t.Parallel()
	i := install(t)
	config := tenantConfig()
	config.ClientID = "11111111-2222-4333-8444-555555555555"
	i.move(serveTenant(t, config, time.Now))
	i.environ["DEFENDER_CLIENT_ID"] = config.ClientID
	checks, _, _ := i.look()
	for _, c := range checks {
		want := map[bool]string{true: "skipped", false: "ok"}[c.Name == "links.permission"]
		if c.State != want {
			t.Errorf("%s is %s: %s", c.Name, c.State, c.Text)
		}
	}
}

// TestDoctorTenant: doctor has the settings of one tenant, and refuses to speak about another.
func TestDoctorTenant(t *testing.T) {
	t.Parallel()
	s := serveTenant(t, tenantConfig(), time.Now)
	environ := environment(s, "DEFENDER_TENANT_ID", realTenant)
	data := filepath.Join(t.TempDir(), "data")
	other := "0b1c2d3e-4f50-4617-8293-a4b5c6d7e8f9"
	if got := packhorse(t, environ, "doctor", "--data", data, "--tenant", other); got.code != exitUsage ||
		!strings.Contains(got.stderr, realTenant) {
		t.Errorf("exit %d: %s", got.code, got.stderr)
	}
	if got := packhorse(t, environ, "doctor", "--data", data, "--tenant", strings.ToUpper(realTenant)); got.code != exitDone {
		t.Errorf("exit %d: %s%s", got.code, got.stdout, got.stderr)
	}
}
