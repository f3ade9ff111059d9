package checkup

import (
	"context"
	"errors"
	"io/fs"

	"packhorse/cmd/packhorse/datafolder"
	"packhorse/cmd/packhorse/embedded"
	"packhorse/internal/defender"
	"packhorse/internal/doctor"
	"packhorse/internal/investigation"
)

// folderLedger reads the ledger of a data folder. Each question opens the file anew, and only to read.
type folderLedger struct{ path string }

// Find implements Ledger.
func (l folderLedger) Find(ctx context.Context, f investigation.Filter) (found []investigation.Record, err error) {
	err = embedded.Read(ctx, l.path, func(ledger *embedded.Ledger, _ *embedded.Counter) (err error) {
		found, err = ledger.Find(ctx, f)
		return err
	})
	return found, err
}

// Open implements Ledger.
func (l folderLedger) Open(ctx context.Context, tenantID string) (found []investigation.Record, err error) {
	err = embedded.Read(ctx, l.path, func(ledger *embedded.Ledger, _ *embedded.Counter) (err error) {
		found, err = ledger.Open(ctx, tenantID)
		return err
	})
	return found, err
}

var errOther = errors.New("the ledger has another version: see the check data.database")

// usable returns why the ledger cannot be read, or nil.
func (m *Machine) usable(ctx context.Context) error {
	found, err := m.version(ctx)
	if err != nil {
		return err
	}
	if found.Lost || found.Foreign != "" || found.Version != found.Known {
		return errOther
	}
	return nil
}

func (m *Machine) ledger(ctx context.Context) (Ledger, error) {
	return folderLedger{m.path(datafolder.Database)}, m.usable(ctx)
}

// read calls f with the ledger.
func (m *Machine) read(ctx context.Context, f func(*embedded.Ledger) error) error {
	err := m.usable(ctx)
	if err != nil {
		return err
	}
	return embedded.Read(ctx, m.path(datafolder.Database), func(ledger *embedded.Ledger, _ *embedded.Counter) error {
		return f(ledger)
	})
}

// linked says whether the app has requested links: others may have archived what the ledger has.
func (m *Machine) linked(ctx context.Context, app *defender.App) (linked bool, err error) {
	err = m.usable(ctx)
	if err != nil {
		return false, err
	}
	err = embedded.Read(ctx, m.path(datafolder.Database), func(_ *embedded.Ledger, counter *embedded.Counter) (err error) {
		linked, err = app.Linked(ctx, counter)
		return err
	})
	return linked, err
}

// process says which other process has the ledger open.
func (m *Machine) process() doctor.Look[doctor.Process] {
	pid, err := embedded.OpenElsewhere(m.path(datafolder.Database))
	if errors.Is(err, fs.ErrPermission) { // another user's
		err = &doctor.DeniedError{Action: "to read " + m.path(datafolder.Database) + "-shm"}
	}
	return func(context.Context) (doctor.Process, error) { return doctor.Process{ID: pid}, err }
}
