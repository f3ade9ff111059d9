// Package datafolder defines the layout of the data folder and guards its use: Check tells whether a folder
// is safe to use, and Claim creates it and records whether it holds evidence or a simulation.
package datafolder

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"packhorse/cmd/packhorse/console"
	"packhorse/cmd/packhorse/embedded"
	"packhorse/cmd/packhorse/simulation"
	"packhorse/internal/custody"
)

const (
	// Default is the data folder of a real tenant, DefaultSimulation that of a simulated one.
	Default           = "packhorse-data"
	DefaultSimulation = "packhorse-simulation"

	// Database is the file that holds the ledger and the budget.
	Database = "packhorse.db"
	// S3 is the folder of the embedded S3 server, and Bucket its bucket, a subfolder.
	S3     = "s3"
	Bucket = "evidence"

	// originFile records the Origin of a data folder.
	originFile = "origin.json"

	// others are the permissions of everyone except the owner.
	others fs.FileMode = 0o077

	folderMode, originMode = 0o700, 0o600
)

// Origin records where a data folder's packages come from. It never changes: one key signs everything in a
// folder, so a simulation next to real evidence would look just as genuine.
type Origin struct {
	Simulated bool `json:"simulated"`
}

// Error says why a data folder cannot be used and how to fix that. The command has not started any work.
type Error struct{ err error }

func (e *Error) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.err }

// Check returns an [Error] if the data folder exists but other users can access it or its origin is not the
// wanted one. It creates nothing.
func Check(ctx context.Context, dir string, wanted Origin, logger *slog.Logger) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("check the data folder: %w", err)
	case !info.IsDir():
		return &Error{fmt.Errorf("the data folder %s is a file: use another one (--data)", dir)}
	case info.Mode().Perm()&others != 0:
		return &Error{fmt.Errorf("other users can access the data folder %s (mode %04o): chmod 700 %s",
			dir, info.Mode().Perm(), console.ShellQuote(dir))}
	}
	err = custody.CheckLocal(dir)
	if err != nil {
		return &Error{err}
	}
	found, err := originOf(ctx, dir, logger)
	if err != nil || found == nil {
		return err
	}
	return checkOrigin(dir, *found, wanted)
}

// checkOrigin refuses to mix a simulation with evidence.
func checkOrigin(dir string, found, wanted Origin) error {
	switch {
	case found == wanted:
		return nil
	case wanted.Simulated:
		return &Error{fmt.Errorf("the data folder %s holds the evidence of a real tenant: "+
			"use another one for the simulation (--data)", dir)}
	default:
		return &Error{fmt.Errorf("the data folder %s holds the packages of a simulation: "+
			"move it away, or use another one (--data)", dir)}
	}
}

// Claim creates the data folder if necessary and records its origin there. If two processes claim a folder
// for different origins at the same time, one of them gets an [Error].
func Claim(ctx context.Context, dir string, wanted Origin, logger *slog.Logger) error {
	err := os.MkdirAll(dir, folderMode)
	if err != nil {
		return fmt.Errorf("create the data folder: %w", err)
	}
	text, err := json.Marshal(wanted)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, originFile)
	draft := path + "." + rand.Text()
	err = os.WriteFile(draft, append(text, '\n'), originMode)
	if err != nil {
		return fmt.Errorf("record the origin of the data folder: %w", err)
	}
	err = os.Link(draft, path)
	if errors.Is(err, fs.ErrExist) {
		err = nil // an earlier run or another process recorded it
	}
	err = errors.Join(err, os.Remove(draft))
	if err != nil {
		return fmt.Errorf("record the origin of the data folder: %w", err)
	}
	return Check(ctx, dir, wanted, logger)
}

// originOf returns the origin of a folder's packages, or nil if the folder does not contain any Packhorse file.
func originOf(ctx context.Context, dir string, logger *slog.Logger) (*Origin, error) {
	recorded, err := Recorded(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return oldOrigin(ctx, dir, logger)
	}
	return recorded, err
}

// Recorded returns the origin that the folder records. Folders of earlier releases do not; then the error wraps
// [fs.ErrNotExist].
func Recorded(dir string) (*Origin, error) {
	path := filepath.Join(dir, originFile)
	text, err := os.ReadFile(path) //nolint:gosec // the data folder is the user's choice
	if err != nil {
		return nil, fmt.Errorf("read the origin of the data folder: %w", err)
	}
	var o struct {
		Simulated *bool `json:"simulated"`
	}
	err = json.Unmarshal(text, &o)
	if err != nil || o.Simulated == nil {
		return nil, &Error{fmt.Errorf(`%s is damaged: write {"simulated":false} into it if the folder `+
			`holds the evidence of a real tenant, otherwise {"simulated":true}`, path)}
	}
	return &Origin{Simulated: *o.Simulated}, nil
}

// oldOrigin infers the origin of a folder from its contents, because earlier releases did not record it. In
// doubt it assumes a real tenant: evidence must never pass for a simulation, and those releases left a plan
// or the simulator's tenant in every simulation's folder.
func oldOrigin(ctx context.Context, dir string, logger *slog.Logger) (*Origin, error) {
	has := func(name string) bool {
		_, err := os.Lstat(filepath.Join(dir, name))
		return err == nil
	}
	var tenants []string
	if has(Database) {
		db, err := embedded.OpenDB(ctx, filepath.Join(dir, Database))
		if err != nil {
			return nil, err
		}
		tenants, err = embedded.NewLedger(db).Tenants(ctx)
		err = errors.Join(err, db.Close())
		if err != nil {
			return nil, err
		}
	}
	simulated := has(simulation.PlanFile) || slices.ContainsFunc(tenants, simulation.IsTenant)
	evidence := slices.ContainsFunc(tenants, func(id string) bool { return !simulation.IsTenant(id) })
	switch {
	case simulated && evidence:
		logger.WarnContext(ctx, "an earlier release stored a simulation in this evidence folder; "+
			"its packages are not marked, but belong to the simulator's tenant",
			slog.String("folder", dir), slog.String("simulatedTenant", simulation.TenantID()))
		return &Origin{}, nil
	case simulated:
		return &Origin{Simulated: true}, nil
	case has(Database), has(custody.LocalKeyFile), has(S3):
		return &Origin{}, nil
	default:
		return nil, nil
	}
}
