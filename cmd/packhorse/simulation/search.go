package simulation

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// packageSuffix ends the name of every stored package.
const packageSuffix = ".zip"

// search walks the data folder. In files other than packages it counts links and assertions; packages that no record
// names break a rule, once all work is done.
func (s *Site) search(stored Stored, all map[string]*Judgement) error {
	packages, finished := map[string]bool{}, stored.File != nil
	for _, outcome := range stored.Tenants {
		finished = finished && outcome.Finished
		for _, rec := range outcome.Records {
			if stored.File != nil {
				packages[stored.File(rec.Receipt)] = true
			}
		}
	}
	secrets := s.secrets()
	return filepath.WalkDir(stored.Folder, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil || !entry.Type().IsRegular() || packages[path]:
			return err
		case strings.HasSuffix(path, packageSuffix):
			for id, j := range all {
				if finished && strings.Contains(path, "/"+id+"/") {
					j.broke("a package is stored that no record names: %s", path)
				}
			}
			return nil
		}
		text, err := os.ReadFile(path) //nolint:gosec // below the data folder
		if err != nil {
			return err
		}
		for id, j := range all {
			for _, secret := range secrets[id] {
				if bytes.Contains(text, []byte(secret)) {
					j.Leaks++
				}
			}
		}
		return nil
	})
}

// secrets returns the links and assertions of each tenant.
func (s *Site) secrets() map[string][]string {
	all := map[string][]string{}
	for id, sim := range s.tenants {
		all[id] = append(sim.Links(), sim.Assertions()...)
	}
	return all
}
