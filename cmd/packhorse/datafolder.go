package main

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
	"strings"

	"packhorse/cmd/packhorse/embedded"
	"packhorse/internal/custody"
)

const (
	// dataDefault is the data folder of a real tenant, simulationDefault that of a simulated one.
	dataDefault       = "packhorse-data"
	simulationDefault = "packhorse-simulation"

	// originFile says whose a data folder is.
	originFile = "origin.json"

	// others are the permissions of everybody but the owner.
	others fs.FileMode = 0o077

	folderMode, originMode = 0o700, 0o600
)

// origin is what a data folder's packages come from, for good. One key signs everything in a folder,
// so a simulation beside real evidence would borrow its credit.
type origin struct {
	Simulated bool `json:"simulated"`
}

// folderError says why a data folder cannot be used, and how to mend that. Nothing was begun.
type folderError struct{ err error }

func (e *folderError) Error() string { return e.err.Error() }
func (e *folderError) Unwrap() error { return e.err }

// checkFolder refuses a data folder, if there is one, that others can reach, or that is not for what
// is wanted. It makes nothing.
func checkFolder(ctx context.Context, dir string, wanted origin, logger *slog.Logger) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look at the data folder: %w", err)
	case !info.IsDir():
		return &folderError{fmt.Errorf("the data folder %s is a file", dir)}
	case info.Mode().Perm()&others != 0:
		return &folderError{fmt.Errorf("the data folder %s is open to other users (mode %04o): chmod 700 %s",
			dir, info.Mode().Perm(), quoted(dir))}
	}
	err = custody.CheckLocal(dir)
	if err != nil {
		return &folderError{err}
	}
	found, err := originOf(ctx, dir, logger)
	if err != nil || found == nil {
		return err
	}
	return checkOrigin(dir, *found, wanted)
}

// checkOrigin refuses to mix a simulation with evidence.
func checkOrigin(dir string, found, wanted origin) error {
	switch {
	case found == wanted:
		return nil
	case wanted.Simulated:
		return &folderError{fmt.Errorf("the data folder %s has the evidence of a real tenant: "+
			"name another for the simulation with --data", dir)}
	default:
		return &folderError{fmt.Errorf("the data folder %s has the packages of a simulation: "+
			"move it away, or name another with --data", dir)}
	}
}

// claimFolder makes the data folder where there is none, and writes down what it is for. Two processes
// that do that at once end up with one origin, and one of them with an error if it wanted another.
func claimFolder(ctx context.Context, dir string, wanted origin, logger *slog.Logger) error {
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
	return checkFolder(ctx, dir, wanted, logger)
}

// originOf returns what a folder's packages come from, or nil for a folder with nothing of ours in it.
func originOf(ctx context.Context, dir string, logger *slog.Logger) (*origin, error) {
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
		return nil, &folderError{fmt.Errorf(`%s is damaged: write {"simulated":false} into it if the folder `+
			`has the evidence of a real tenant, else {"simulated":true}`, path)}
	}
	return &origin{Simulated: *o.Simulated}, nil
}

// oldOrigin judges a folder of a release that wrote no origin, by its contents. In doubt it is real:
// evidence must not be taken for a simulation, and those releases noted every simulation.
func oldOrigin(ctx context.Context, dir string, logger *slog.Logger) (*origin, error) {
	has := func(name string) bool {
		_, err := os.Lstat(filepath.Join(dir, name))
		return err == nil
	}
	var tenants []string
	if has(databaseFile) {
		db, err := embedded.OpenDB(ctx, filepath.Join(dir, databaseFile))
		if err != nil {
			return nil, err
		}
		tenants, err = embedded.NewLedger(db).Tenants(ctx)
		err = errors.Join(err, db.Close())
		if err != nil {
			return nil, err
		}
	}
	simulated := has(simulationFile) || slices.ContainsFunc(tenants, isSimulators)
	evidence := slices.ContainsFunc(tenants, func(id string) bool { return !isSimulators(id) })
	switch {
	case simulated && evidence:
		logger.WarnContext(ctx, "an earlier release let a simulation into this folder of evidence; "+
			"its packages are those of the simulator's tenant, and have no mark",
			slog.String("folder", dir), slog.String("simulatedTenant", simulatorsTenant()))
		return &origin{}, nil
	case simulated:
		return &origin{Simulated: true}, nil
	case has(databaseFile), has(custody.LocalKeyFile), has(s3Folder):
		return &origin{}, nil
	default:
		return nil, nil
	}
}

// quoted makes one word of a path for a shell.
func quoted(path string) string {
	if strings.Trim(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+") == "" {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
