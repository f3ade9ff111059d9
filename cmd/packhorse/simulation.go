package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"packhorse/cmd/packhorse/console"
	"packhorse/cmd/packhorse/embedded"
	"packhorse/internal/investigation"
	"packhorse/internal/mde/mdesim"
)

// simulationFile is in the data folder, so that a run that was interrupted goes on with the tenant
// it had.
const simulationFile = "simulation.json"

// simulation is a simulated tenant in this process.
type simulation struct {
	server *mdesim.Server
	plan   simulationPlan
}

// simulationPlan is all that the tenant's actions are made of.
type simulationPlan struct {
	Seed      uint64    `json:"seed"`
	StartedAt time.Time `json:"startedAt"`
	Actions   int       `json:"actions"`
	Sizes     []int64   `json:"sizes,omitempty"` // bytes, in turn; none: mixed
}

func (p simulationPlan) scenario() []mdesim.Action {
	return mdesim.Scenario(p.Actions, p.Seed, p.StartedAt, p.Sizes)
}

// simulatorsTenant is the one tenant that simulators have, in this process or another.
func simulatorsTenant() string { return mdesim.Defaults().TenantID }

func isSimulators(tenantID string) bool { return tenantID == simulatorsTenant() }

// startSimulation serves a tenant: the one of the data folder while there is something left to do
// in it, else a new one.
func startSimulation(ctx context.Context, o runOptions, ledger *embedded.Ledger) (
	*simulation, error,
) {
	config := mdesim.Defaults()
	plan, err := loadPlan(filepath.Join(o.data, simulationFile))
	if err != nil {
		return nil, err
	}
	over, err := plan.over(ctx, config.TenantID, ledger)
	if err != nil {
		return nil, err
	}
	if over {
		plan = simulationPlan{
			Seed: randomSeed(), StartedAt: time.Now().UTC(), Actions: o.simulate, Sizes: o.packageSize,
		}
		err = plan.save(filepath.Join(o.data, simulationFile))
		if err != nil {
			return nil, err
		}
	}
	server, err := mdesim.Start(ctx, config, time.Now, "127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	for _, a := range append(plan.scenario(), mdesim.OtherActions(plan.Seed, plan.StartedAt)...) {
		server.Add(a)
	}
	return &simulation{server: server, plan: plan}, nil
}

// environment is what a real tenant would have in the environment.
func (s *simulation) environment() map[string]string {
	config := mdesim.Defaults()
	return map[string]string{
		"DEFENDER_TENANT_ID":     config.TenantID,
		"DEFENDER_CLIENT_ID":     config.ClientID,
		"DEFENDER_CLIENT_SECRET": config.ClientSecret,
		"DEFENDER_API_URL":       s.server.APIURL,
		"DEFENDER_AUTHORITY_URL": s.server.APIURL,
		"DEFENDER_LINK_HOSTS":    s.server.DownloadHost,
		"DEFENDER_CA_PEM":        string(s.server.CAPEM),
		"SWEEP_INTERVAL":         "5s", // the shortest: there is somebody watching
	}
}

// over reports whether every action of the plan is done. The zero plan is over. An action whose record
// makes no sense is not.
func (p simulationPlan) over(ctx context.Context, tenantID string, ledger *embedded.Ledger) (
	bool, error,
) {
	var ids []investigation.ID
	for _, a := range p.scenario() {
		ids = append(ids, investigation.ID{TenantID: tenantID, ActionID: a.ID})
	}
	records, err := ledger.Load(ctx, ids)
	if err != nil && !errors.Is(err, investigation.ErrBadRecord) {
		return false, err
	}
	open := func(r investigation.Record) bool { return r.State != investigation.StateDone }
	return len(records) == len(ids) && !slices.ContainsFunc(records, open), nil
}

func loadPlan(path string) (simulationPlan, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the data folder is the user's choice
	if errors.Is(err, fs.ErrNotExist) {
		return simulationPlan{}, nil
	}
	if err != nil {
		return simulationPlan{}, err
	}
	var plan simulationPlan
	err = json.Unmarshal(text, &plan)
	if err != nil {
		return simulationPlan{}, fmt.Errorf("understand %s (delete it to begin a new one): %w", path, err)
	}
	return plan, nil
}

func (p simulationPlan) save(path string) error {
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o600)
}

func randomSeed() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails
	return binary.LittleEndian.Uint64(b[:])
}

// judge holds what the judge saw against what is stored, and searches ledger and manifests for
// links.
func (s *simulation) judge(records []investigation.Record, o runOptions) (
	*console.Judgement, error,
) {
	verdict := s.server.Judge().Verdict()
	j := &console.Judgement{
		PackageURICalls: verdict.Calls[mdesim.KindPackageURI],
		MostInAnyMinute: max(verdict.MostInAnyMinute, verdict.MostInAlignedMin),
		PerMinute:       mdesim.Defaults().PackageURILimits.PerMinute,
		Leaks:           verdict.Leaks,
		BrokenRules:     append([]string{}, verdict.BrokenRules...), // in JSON a list, and not null
	}
	served := map[string]mdesim.Served{}
	for _, package_ := range verdict.Served {
		served[package_.ActionID] = package_
	}
	for _, rec := range records {
		if rec.Receipt.Key == "" {
			continue
		}
		was, ok := served[rec.ActionID]
		if !ok {
			j.ServedBeforeThis++
			continue
		}
		j.MostPerArchived = max(j.MostPerArchived, verdict.PackageURIByAction[rec.ActionID])
		sum, err := s.sumOf(rec, o)
		if err != nil {
			return nil, err
		}
		j.FilesCompared++
		if sum != was.SHA256 || rec.Receipt.SHA256 != was.SHA256 || rec.Receipt.Size != was.Size {
			j.FilesDifferent++
		}
	}
	leaks, err := s.leaks(records, o)
	j.Leaks += leaks
	j.Passed = j.MostInAnyMinute <= j.PerMinute && j.MostPerArchived <= 1 && j.FilesDifferent == 0 &&
		j.Leaks == 0 && len(j.BrokenRules) == 0
	return j, err
}

// sumOf hashes the stored file. Of an object that is no file here the receipt has to serve.
func (s *simulation) sumOf(rec investigation.Record, o runOptions) (sum string, err error) {
	if o.bucket != "" {
		return rec.Receipt.SHA256, nil
	}
	file, err := os.Open(o.locate(rec.Receipt))
	if err != nil {
		return "", fmt.Errorf("read what was stored: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	digest := sha256.New()
	_, err = io.Copy(digest, file)
	return hex.EncodeToString(digest.Sum(nil)), err
}

// leaks counts the links that were written down anywhere in the data folder but in a package.
func (s *simulation) leaks(records []investigation.Record, o runOptions) (int, error) {
	packages := map[string]bool{}
	for _, rec := range records {
		packages[o.locate(rec.Receipt)] = true
	}
	found := 0
	err := filepath.WalkDir(o.data, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || packages[path] || strings.HasSuffix(path, ".zip") {
			return err
		}
		text, err := os.ReadFile(path) //nolint:gosec // below the data folder
		if err != nil {
			return err
		}
		for _, secret := range s.server.Links() {
			if bytes.Contains(text, []byte(secret)) {
				found++
			}
		}
		return nil
	})
	return found, err
}
