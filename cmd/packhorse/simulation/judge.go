package simulation

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/mde/mdesim"
)

// Judgement is the simulator's judgement of a run in one tenant: whether it kept Defender's rules and stored the same
// bytes that the simulator served.
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

func (j *Judgement) broke(format string, args ...any) {
	j.BrokenRules = append(j.BrokenRules, fmt.Sprintf(format, args...))
}

// Stored describes the results of a run.
type Stored struct {
	Tenants map[string]Outcome // by id
	Folder  string             // the data folder, searched for links and assertions

	// File returns the path of a stored object. It is nil if objects are not files on this machine.
	File func(investigation.Receipt) string
}

// Outcome is what a run did for a tenant.
type Outcome struct {
	Records  []investigation.Record // all of the tenant
	Finished bool                   // the run found nothing left to do
}

// Judge compares the requests and packages of each tenant's simulator with the stored results, and searches the data
// folder for leaked links and assertions, and for packages that no record names. It returns the judgements by tenant.
func (s *Site) Judge(stored Stored) (map[string]*Judgement, error) {
	all := map[string]*Judgement{}
	for id, outcome := range stored.Tenants {
		sim := s.tenants[id]
		if sim == nil {
			continue
		}
		j, err := judge(sim, id, outcome, stored)
		if err != nil {
			return nil, err
		}
		all[id] = j
	}
	for _, p := range s.plan.tenants() {
		if j := all[p.id]; j != nil && stored.Tenants[p.id].Finished {
			j.missing(p.actions, stored.Tenants[p.id].Records, time.Now())
		}
	}
	err := s.search(stored, all)
	if err != nil {
		return nil, err
	}
	for _, j := range all {
		j.Passed = j.MostInAnyMinute <= j.PerMinute && j.MostPerArchived <= 1 && j.FilesDifferent == 0 &&
			j.Leaks == 0 && len(j.BrokenRules) == 0
	}
	return all, nil
}

// judge compares one tenant's packages with the stored ones.
func judge(sim *mdesim.Simulator, id string, outcome Outcome, stored Stored) (*Judgement, error) {
	verdict := sim.Judge().Verdict()
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
	keys := map[string]bool{}
	for _, rec := range outcome.Records {
		key := rec.Receipt.Key
		if key == "" {
			continue
		}
		if parts, ok := investigation.ParseKey(key); !ok || parts.TenantID != id || keys[key] {
			j.broke("the package of action %s is not under a key of its own in tenant %s: %s", rec.ActionID, id, key)
		}
		keys[key] = true
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
	return j, nil
}

// missing notes the packages that were to be had and are not stored.
func (j *Judgement) missing(actions []mdesim.Action, records []investigation.Record, now time.Time) {
	stored := map[string]bool{}
	for _, rec := range records {
		stored[rec.ActionID] = rec.Receipt.Key != ""
	}
	for _, a := range actions {
		if a.Ready(now) && !stored[a.ID] {
			j.broke("the package of action %s was ready and is not stored", a.ID)
		}
	}
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
