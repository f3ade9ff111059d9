// Package taketest provides test doubles for package take: a disk that fails at any step, and evidence in memory
// as a source.
package taketest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"packhorse/cmd/packhorse/take"
	"packhorse/internal/verify"
	"packhorse/internal/verify/verifytest"
)

// Disk is the real file system, whose nth effect fails as on a full disk; a write leaves half of its bytes.
// Effects that fail before they begin, and removing, do not count.
type Disk struct {
	FailAt int         // from 1; 0 never fails
	Before func(n int) // called before the nth effect, if set
	mu     sync.Mutex  // guards n
	n      int         // effects so far
	what   string      // the one that failed
}

// Full is the error of the step that fails.
var Full error = &full{}

type full struct{}

func (*full) Error() string { return "the test's disk is full: " + syscall.ENOSPC.Error() }
func (*full) Unwrap() error { return syscall.ENOSPC }

// Effects returns how many effects there were.
func (d *Disk) Effects() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.n
}

// Failed names the effect that failed.
func (d *Disk) Failed() string { return d.what }

func (d *Disk) step(what string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.n++
	if d.Before != nil {
		d.Before(d.n)
	}
	if d.n != d.FailAt {
		return nil
	}
	d.what = fmt.Sprintf("%s, effect %d", what, d.n)
	return Full
}

// MakeFolder implements take.Disk.
func (d *Disk) MakeFolder(path string) error {
	return errors.Join(d.step("make folder "+path), take.OS{}.MakeFolder(path))
}

// Create implements take.Disk.
func (d *Disk) Create(path string) (take.File, error) {
	err := d.step("create " + path)
	if err != nil {
		return nil, err
	}
	file, err := take.OS{}.Create(path)
	if err != nil {
		return nil, err
	}
	return &diskFile{file, d}, nil
}

// Rename implements take.Disk.
func (d *Disk) Rename(from, to string) error {
	err := d.step("rename " + from)
	if err != nil {
		return err
	}
	return take.OS{}.Rename(from, to)
}

// Publish implements take.Disk.
func (d *Disk) Publish(draft, name string) error {
	err := d.step("publish " + name)
	if err != nil {
		return err
	}
	return take.OS{}.Publish(draft, name)
}

// Remove implements take.Disk. Nothing can be done about a draft that cannot be removed.
func (d *Disk) Remove(path string) error { return take.OS{}.Remove(path) }

// Sync implements take.Disk.
func (d *Disk) Sync(folder string) error {
	return errors.Join(d.step("sync "+folder), take.OS{}.Sync(folder))
}

type diskFile struct {
	take.File

	disk *Disk
}

func (f *diskFile) Write(p []byte) (int, error) {
	err := f.disk.step("write")
	if err != nil {
		n, _ := f.File.Write(p[:len(p)/2])
		return n, err
	}
	return f.File.Write(p)
}

func (f *diskFile) WriteAt(p []byte, at int64) (int, error) {
	err := f.disk.step("write")
	if err != nil {
		n, _ := f.File.WriteAt(p[:len(p)/2], at)
		return n, err
	}
	return f.File.WriteAt(p, at)
}

func (f *diskFile) Sync() error { return errors.Join(f.disk.step("sync"), f.File.Sync()) }

func (f *diskFile) Close() error {
	err := f.File.Close()
	if err != nil {
		return err
	}
	return f.disk.step("close")
}

// Source returns a source that verifies an archive with the trusted keys and, unless it is nil, the ledger.
func Source(archive verify.Archive, trust verify.Trust, ledger verify.Ledger) take.Source {
	return take.Source{
		Verify: func(ctx context.Context, wrap func(verify.Archive) verify.Archive, scope verify.Scope,
			reporter verify.Reporter,
		) (verify.Summary, error) {
			now := func() time.Time { return verifytest.VerifiedAt }
			return verify.New(wrap(archive), trust, ledger, now, reporter).Run(ctx, scope)
		},
		PEM: trust.One,
	}
}
