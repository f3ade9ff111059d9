package simulation

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"packhorse/internal/investigation"
	"packhorse/internal/mde/mdesim"
)

// Judgement is the simulator's judgement of a run: whether it kept Defender's rules and stored the same bytes
// that the simulator served.
type Judgement struct {
	Passed           bool
	PackageURICalls  int
	MostInAnyMinute  int
	PerMinute        int
	MostPerArchived  int
	FilesCompared    int
	FilesDifferent   int
	Leaks            int
	BrokenRules      []string // never nil
	ServedBeforeThis int      // archived by an earlier run, so not compared
}

// Stored describes the results of a run.
type Stored struct {
	Records []investigation.Record
	Folder  string // the data folder, searched for links and assertions

	// File returns the path of a stored object. It is nil if objects are not files on this machine.
	File func(investigation.Receipt) string
}

// Judge compares the requests and packages of the simulator with the stored results, and searches the data
// folder for leaked links and assertions.
func (t *Tenant) Judge(stored Stored) (*Judgement, error) {
	verdict := t.server.Judge().Verdict()
	j := &Judgement{
		PackageURICalls: verdict.Calls[mdesim.KindPackageURI],
		MostInAnyMinute: max(verdict.MostInAnyMinute, verdict.MostInAlignedMin),
		PerMinute:       mdesim.Defaults().PackageURILimits.PerMinute,
		Leaks:           verdict.Leaks,
		BrokenRules:     append([]string{}, verdict.BrokenRules...), // an empty list in JSON instead of null
	}
	served := map[string]mdesim.Served{}
	for _, package_ := range verdict.Served {
		served[package_.ActionID] = package_
	}
	for _, rec := range stored.Records {
		if rec.Receipt.Key == "" {
			continue
		}
		was, ok := served[rec.ActionID]
		if !ok {
			j.ServedBeforeThis++
			continue
		}
		j.MostPerArchived = max(j.MostPerArchived, verdict.PackageURIByAction[rec.ActionID])
		sum, err := stored.sumOf(rec.Receipt)
		if err != nil {
			return nil, err
		}
		j.FilesCompared++
		if sum != was.SHA256 || rec.Receipt.SHA256 != was.SHA256 || rec.Receipt.Size != was.Size {
			j.FilesDifferent++
		}
	}
	leaks, err := stored.leaks(append(t.server.Links(), t.server.Assertions()...))
	j.Leaks += leaks
	j.Passed = j.MostInAnyMinute <= j.PerMinute && j.MostPerArchived <= 1 && j.FilesDifferent == 0 &&
		j.Leaks == 0 && len(j.BrokenRules) == 0
	return j, err
}

// sumOf hashes the stored file. If objects are not files on this machine, it trusts the receipt.
func (s Stored) sumOf(receipt investigation.Receipt) (sum string, err error) {
	if s.File == nil {
		return receipt.SHA256, nil
	}
	file, err := os.Open(s.File(receipt))
	if err != nil {
		return "", fmt.Errorf("read the stored package: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	digest := sha256.New()
	_, err = io.Copy(digest, file)
	return hex.EncodeToString(digest.Sum(nil)), err
}

// leaks counts links and assertions found in files of the data folder other than packages.
func (s Stored) leaks(links []string) (int, error) {
	packages := map[string]bool{}
	for _, rec := range s.Records {
		if s.File != nil {
			packages[s.File(rec.Receipt)] = true
		}
	}
	found := 0
	err := filepath.WalkDir(s.Folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || packages[path] || strings.HasSuffix(path, ".zip") {
			return err
		}
		text, err := os.ReadFile(path) //nolint:gosec // below the data folder
		if err != nil {
			return err
		}
		for _, secret := range links {
			if bytes.Contains(text, []byte(secret)) {
				found++
			}
		}
		return nil
	})
	return found, err
}
