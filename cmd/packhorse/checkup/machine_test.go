package checkup_test

import (
	"os"
	"path/filepath"
	"testing"

	"packhorse/cmd/packhorse/checkup"
	"packhorse/internal/doctor"
)

// TestFiles names what others can read, but no file that may be gone when somebody pastes the advice: the command
// would fail.
func TestFiles(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	for name, mode := range map[string]os.FileMode{
		"packhorse.db": 0o644, "packhorse.db-wal": 0o644, "packhorse.db-shm": 0o644, // SQLite removes the last two
		"origin.json": 0o600, "signing-key.pub.pem": 0o644,
	} {
		path := filepath.Join(data, name)
		if err := os.WriteFile(path, nil, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil { // whatever the umask
			t.Fatal(err)
		}
	}
	m := &checkup.Machine{Want: doctor.MachineWanted{Data: data}}
	files, err := m.Ports().Files(t.Context())
	if err != nil || len(files) != 1 || files[0].Path != filepath.Join(data, "packhorse.db") || files[0].Mode.Perm() != 0o644 {
		t.Errorf("got %v, %v", files, err)
	}
}
