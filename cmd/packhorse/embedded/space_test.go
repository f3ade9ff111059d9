package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"packhorse/cmd/packhorse/embedded"
	"packhorse/internal/investigation"
)

const mib = 1 << 20

// asked is one call of Room.
type asked struct {
	id   string
	size int64 // MiB, or investigation.SizeUnknown
	done bool  // the package is no longer in flight at the next call
}

// TestRoom asks for room on disks with different free space, and checks the last call's result.
func TestRoom(t *testing.T) {
	const unknown = investigation.SizeUnknown
	for name, test := range map[string]struct {
		free    int64 // bytes
		freeErr error
		ask     []asked
		needed  int64 // MiB; 0: there is room
		left    int64 // MiB, if not all free space
	}{
		"unknown, just enough":   {free: 48 * mib, ask: []asked{{"1", unknown, true}}},
		"unknown, one byte less": {free: 48*mib - 1, ask: []asked{{"1", unknown, true}}, needed: 48},
		"declared, enough":       {free: 216 * mib, ask: []asked{{"1", 100, true}}},
		"declared, not enough":   {free: 200 * mib, ask: []asked{{"1", 100, true}}, needed: 216},
		"declared small":         {free: 18 * mib, ask: []asked{{"1", 1, true}}},
		"the ledger's part":      {free: 15 * mib, ask: []asked{{"1", 0, true}}, needed: 16},
		"a package that did not fit is remembered": {
			free: 200 * mib, ask: []asked{{"1", 100, true}, {"1", unknown, true}}, needed: 216,
		},
		"and keeps no other back": {
			free: 200 * mib, ask: []asked{{"1", 100, true}, {"2", unknown, true}},
		},
		"but several do": {
			free: 200 * mib, ask: []asked{{"1", 100, true}, {"2", 100, true}, {"3", unknown, true}}, needed: 216,
		},
		"a package in flight has its room": {
			free: 150 * mib, ask: []asked{{"1", 60, false}, {"2", unknown, true}}, needed: 48, left: 30,
		},
		"and gives it back": {
			free: 150 * mib, ask: []asked{{"1", 60, true}, {"2", unknown, true}},
		},
		"a package is not in its own way": {
			free: 150 * mib, ask: []asked{{"1", unknown, false}, {"1", 60, true}},
		},
		"a disk that cannot be looked at": {freeErr: fs.ErrPermission, ask: []asked{{"1", unknown, true}}},
	} {
		synctest.Test(t, func(t *testing.T) {
			space := embedded.NewSpace("/data/s3", func(dir string) (int64, error) {
				if dir != "/data/s3" {
					t.Errorf("%s: looked at %q", name, dir)
				}
				return test.free, test.freeErr
			}, time.Now)
			err := askAll(t, space, test.ask)
			if test.needed == 0 {
				if err != nil {
					t.Errorf("%s: got %v", name, err)
				}
				return
			}
			left := test.free
			if test.left != 0 {
				left = test.left * mib
			}
			full, ok := errors.AsType[*embedded.FullError](err)
			postponed, postpones := errors.AsType[*investigation.PostponedError](err)
			if !ok || full.Needed != test.needed*mib || full.Free != left || !postpones ||
				!postponed.RetryAt.Equal(time.Now().Add(time.Minute)) {
				t.Errorf("%s: got %+v, %v", name, full, err)
			}
			if !strings.Contains(fmt.Sprint(err), "the disk of /data/s3 is full") {
				t.Errorf("%s: it says %q", name, err)
			}
		})
	}
}

// askAll returns the result of the last call.
func askAll(t *testing.T, space *embedded.Space, questions []asked) error {
	t.Helper()
	var err error
	for _, q := range questions {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		size := q.size
		if size != investigation.SizeUnknown {
			size *= mib
		}
		err = space.Room(ctx, someAction(q.id, now).ID, size)
		if q.done {
			cancel()
			synctest.Wait()
		}
	}
	return err
}

// TestFreeBytes compares the result with df. Others may write on the disk meanwhile.
func TestFreeBytes(t *testing.T) {
	dir := t.TempDir()
	got, err := embedded.FreeBytes(dir)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "df", "-P", "-k", dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	available := strings.Fields(lines[len(lines)-1])[3]
	kib, err := strconv.ParseInt(available, 10, 64)
	if err != nil {
		t.Fatalf("df said %q", out)
	}
	const tolerance = 1 << 30
	if difference := math.Abs(float64(got - kib<<10)); difference > tolerance {
		t.Errorf("got %d bytes, df has %d", got, kib<<10)
	}
	if _, err := embedded.FreeBytes(filepath.Join(dir, "gone")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there: got %v", err)
	}
}
