package main

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"testing"

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
