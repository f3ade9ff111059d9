// Package datafolder knows what is where in the data folder of one machine, whose a folder is, and
// whether it can be used: Check before anything is made in it, Claim once something will be.
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

	// Database is the file with ledger and budget.
	Database = "packhorse.db"
	// S3 is the folder of the embedded S3 server, and Bucket the folder of its bucket in there.
	S3     = "s3"
	Bucket = "evidence"

	// originFile says whose a data folder is.
	originFile = "origin.json"

	// others are the permissions of everybody but the owner.
	others fs.FileMode = 0o077

	folderMode, originMode = 0o700, 0o600
)

// Origin is where a data folder's packages come from, for good. One key signs everything in a folder, so
// a simulation beside real evidence would borrow its credit.
type Origin struct {
	Simulated bool `json:"simulated"`
}

// Error says why a data folder cannot be used, and how to mend that. Nothing was begun.
type Error struct{ err error }

func (e *Error) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.err }

// Check returns an [Error] if the data folder exists and others can access it, or it has another origin
// than wanted. It makes nothing.
func Check(ctx context.Context, dir string, wanted Origin, logger *slog.Logger) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look at the data folder: %w", err)
	case !info.IsDir():
		return &Error{fmt.Errorf("the data folder %s is a file", dir)}
	case info.Mode().Perm()&others != 0:
		return &Error{fmt.Errorf("the data folder %s is open to other users (mode %04o): chmod 700 %s",
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
		return &Error{fmt.Errorf("the data folder %s has the evidence of a real tenant: "+
			"name another for the simulation with --data", dir)}
	default:
		return &Error{fmt.Errorf("the data folder %s has the packages of a simulation: "+
			"move it away, or name another with --data", dir)}
	}
}

// Claim makes the data folder if necessary and records its origin in it. Of two processes that claim a
// folder at once for different origins, one gets an [Error].
func Claim(ctx context.Context, dir string, wanted Origin, logger *slog.Logger) error {
	err := os.MkdirAll(dir, folderMode)
	if err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	text, err := json.Marshal(wanted)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, originFile)
	draft := path + "." + rand.Text()
	err = os.WriteFile(draft, append(text, '\n'), originMode)
	if err != nil {
		return fmt.Errorf("write down what the data folder is for: %w", err)
	}
	err = os.Link(draft, path)
	if errors.Is(err, fs.ErrExist) {
		err = nil // this or another process did that before
	}
	err = errors.Join(err, os.Remove(draft))
	if err != nil {
		return fmt.Errorf("write down what the data folder is for: %w", err)
	}
	return Check(ctx, dir, wanted, logger)
}

// originOf returns the origin of a folder's packages, or nil if the folder has nothing of ours.
func originOf(ctx context.Context, dir string, logger *slog.Logger) (*Origin, error) {
	path := filepath.Join(dir, originFile)
	text, err := os.ReadFile(path) //nolint:gosec // the data folder is the user's choice
	if errors.Is(err, fs.ErrNotExist) {
		return oldOrigin(ctx, dir, logger)
	}
	if err != nil {
		return nil, fmt.Errorf("read what the data folder is for: %w", err)
	}
	var o struct {
		Simulated *bool `json:"simulated"`
	}
	err = json.Unmarshal(text, &o)
	if err != nil || o.Simulated == nil {
		return nil, &Error{fmt.Errorf(`%s is damaged: write {"simulated":false} into it if the folder `+
			`has the evidence of a real tenant, else {"simulated":true}`, path)}
	}
	return &Origin{Simulated: *o.Simulated}, nil
}

// oldOrigin tells the origin of a folder by its contents: earlier releases did not record it. In doubt it
// is real: evidence must not be taken for a simulation, and those releases noted every simulation.
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
	simulated := has(simulation.PlanFile) || slices.Contains(tenants, simulation.TenantID())
	evidence := slices.ContainsFunc(tenants, func(id string) bool { return id != simulation.TenantID() })
	switch {
	case simulated && evidence:
		logger.WarnContext(ctx, "an earlier release let a simulation into this folder of evidence; "+
			"its packages are those of the simulator's tenant, and have no mark",
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
