package checkup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"packhorse/cmd/packhorse/awsconfig"
	"packhorse/cmd/packhorse/datafolder"
	"packhorse/cmd/packhorse/embedded"
	"packhorse/cmd/packhorse/simulation"
	"packhorse/internal/custody"
	"packhorse/internal/doctor"
	"packhorse/internal/ratelimit"
	"packhorse/internal/settings"
)

// Machine looks at one machine. It MUST be closed.
type Machine struct {
	Environ []string
	Want    doctor.MachineWanted
	Now     func() time.Time
	Free    func(dir string) (int64, error) // bytes on a disk

	mu      sync.Mutex // guards what follows, which is opened when a check first needs it
	db      *embedded.DB
	dbErr   error
	opened  bool // the database was tried
	archive *archived
}

// Tenant returns the eyes on the machine's tenant.
func (m *Machine) Tenant() doctor.TenantPorts { return m.tenant().Ports() }

func (m *Machine) tenant() Tenant {
	return Tenant{
		Environ: settings.Map(m.Environ), Now: m.Now, Parse: settings.ParseCLI,
		AWS:    func(ctx context.Context) (aws.Config, error) { return awsconfig.Load(ctx, "the credential") },
		Set:    func(variable, value string) string { return "export " + variable + "=" + value },
		Ledger: m.ledger, Linked: m.linked,
		Lists: func(ctx context.Context) (ratelimit.Counter, error) {
			db, err := m.database(ctx)
			if err != nil { // then nobody else counts here
				return ratelimit.NewMemory(), nil
			}
			return embedded.NewCounter(db), nil
		},
	}
}

// Ports returns the eyes on the machine. Call it before any check runs: it asks at once who has the ledger open,
// which this process must not ask while it has it open itself.
func (m *Machine) Ports() doctor.MachinePorts {
	s, err := settings.ParseCLI(settings.Map(m.Environ))
	if err != nil {
		s = settings.Settings{} // the check of the settings says it, and those that need them come after it
	}
	return m.PortsOf(s)
}

// PortsOf is Ports with the settings of a tenant.
func (m *Machine) PortsOf(s settings.Settings) doctor.MachinePorts {
	return doctor.MachinePorts{
		Now: m.Now, Want: m.Want,
		Folder: m.folder, Files: m.files, Origin: m.origin(s.TenantID), Attributes: m.attributes,
		Database: m.version, Disk: m.disk(s.TenantID), Key: m.key,
		Archive: m.ready, Published: m.published, Lock: m.lock(s.Lock()), Conditions: m.conditions,
		Versioning: m.versioning, Encryption: m.encryption, PublicAccess: m.publicAccess,
		Process: m.process(), Health: m.health(s.TenantID), Work: once(m.work(s.TenantID)),
	}
}

// Close closes what the checks opened.
func (m *Machine) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var failures []error
	if m.archive != nil {
		failures = append(failures, m.archive.close())
	}
	if m.db != nil {
		failures = append(failures, m.db.Close())
	}
	return errors.Join(failures...)
}

func (m *Machine) path(name string) string { return filepath.Join(m.Want.Data, name) }

func (m *Machine) folder(context.Context) (doctor.Folder, error) {
	info, err := os.Stat(m.Want.Data)
	if errors.Is(err, fs.ErrNotExist) {
		return doctor.Folder{}, &doctor.UnmadeError{What: m.Want.Data}
	}
	if err != nil {
		return doctor.Folder{}, err
	}
	folder := doctor.Folder{IsFile: !info.IsDir(), Mode: info.Mode(), Mine: true}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		folder.Mine = int(stat.Uid) == os.Geteuid()
		folder.Owner = strconv.FormatUint(uint64(stat.Uid), 10)
		if who, err := user.LookupId(folder.Owner); err == nil {
			folder.Owner = who.Username
		}
	}
	return folder, nil
}

// files lists what others can access, except public keys. Private keys have a check of their own. It leaves out the
// files that SQLite keeps beside the ledger's while that is open: they get its mode, and may be gone in a moment.
func (m *Machine) files(context.Context) ([]doctor.OpenFile, error) {
	entries, err := os.ReadDir(m.Want.Data)
	if err != nil {
		return nil, err
	}
	var open []doctor.OpenFile
	for _, entry := range entries {
		isKey, _ := filepath.Match("signing-key*", entry.Name())
		isBeside, _ := filepath.Match(datafolder.Database+"-*", entry.Name())
		if isKey || isBeside {
			continue
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) { // a run removed it meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
		const others = 0o077
		if info.Mode().Perm()&others != 0 {
			open = append(open, doctor.OpenFile{Path: m.path(entry.Name()), Mode: info.Mode()})
		}
	}
	return open, nil
}

func (m *Machine) origin(tenantID string) doctor.Look[doctor.Origin] {
	return func(context.Context) (doctor.Origin, error) {
		recorded, err := datafolder.Recorded(m.Want.Data)
		if errors.Is(err, fs.ErrNotExist) {
			return doctor.Origin{}, &doctor.UnmadeError{What: "the record of whose packages it has"}
		}
		if err != nil {
			return doctor.Origin{}, err
		}
		return doctor.Origin{Simulated: recorded.Simulated, Wanted: simulation.IsTenant(tenantID)}, nil
	}
}

func (m *Machine) attributes(context.Context) (error, error) { // the first is what was found
	if m.Want.Bucket != "" {
		return nil, nil
	}
	err := datafolder.CheckAttributes(m.Want.Data)
	if lost, ok := errors.AsType[*datafolder.LostAttributesError](err); ok {
		return lost, nil
	}
	return nil, err
}

func (m *Machine) version(ctx context.Context) (doctor.Database, error) {
	version, known, err := embedded.Version(ctx, m.path(datafolder.Database))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Stat(m.path(custody.LocalKeyFile)); err == nil { // a run makes the ledger first
			return doctor.Database{Lost: true}, nil
		}
		return doctor.Database{}, &doctor.UnmadeError{What: "the ledger"}
	case errors.Is(err, embedded.ErrNotOurs):
		return doctor.Database{Foreign: err.Error()}, nil
	}
	return doctor.Database{Version: version, Known: known}, err
}

// database opens the ledger's file to count a list call in it, but only one that exists and has this program's
// version: opening it upgrades an older one.
func (m *Machine) database(ctx context.Context) (*embedded.DB, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.opened {
		return m.db, m.dbErr
	}
	m.opened = true
	m.dbErr = m.usable(ctx)
	if m.dbErr == nil {
		m.db, m.dbErr = embedded.OpenDB(ctx, m.path(datafolder.Database))
	}
	return m.db, m.dbErr
}

func (m *Machine) key(context.Context) (doctor.Key, error) {
	path := m.path(custody.LocalKeyFile)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return doctor.Key{}, &doctor.UnmadeError{What: "the signing key"}
	}
	if err != nil {
		return doctor.Key{}, err
	}
	key := doctor.Key{File: path, Mode: info.Mode()}
	files, err := custody.LocalKeyFiles(m.Want.Data)
	if err != nil {
		return key, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file) //nolint:gosec // the data folder is the user's choice
		if err != nil {
			return key, fmt.Errorf("read the key: %w", err)
		}
		keys, err := custody.ParseLocalKeys(filepath.Base(file), text)
		switch {
		case file != path && err != nil: // packhorse run names it
		case file != path:
			for _, other := range keys {
				key.Others = append(key.Others, other.ID)
			}
		case err != nil:
			key.Problem = "it is not a private key on the curve P-256"
		default:
			key.ID = keys[0].ID
		}
	}
	return key, nil
}
