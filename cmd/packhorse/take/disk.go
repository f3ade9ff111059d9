package take

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// File is a new file.
type File interface {
	io.Writer
	io.WriterAt
	Truncate(size int64) error
	Sync() error
	Close() error
}

// Disk is what is asked of the file system. [OS] is the real one.
type Disk interface {
	// MakeFolder makes a folder and those that it is in. It may exist.
	MakeFolder(path string) error
	// Create makes a new file.
	Create(path string) (File, error)
	// Rename moves a file inside a folder that nobody else uses.
	Rename(from, to string) error
	// Publish gives a finished file or folder its name. It never replaces anything but an empty folder by a
	// folder: if something has the name, the error wraps fs.ErrExist.
	Publish(draft, name string) error
	// Remove removes a draft, and all that is in it.
	Remove(path string) error
	// Sync waits until the names in a folder are on disk.
	Sync(folder string) error
}

// OS is the file system of the operating system.
type OS struct{}

const (
	folderMode = 0o700 // packages name hosts and people, and may hold their data
	fileMode   = 0o600
)

// MakeFolder implements Disk.
func (OS) MakeFolder(path string) error { return os.MkdirAll(path, folderMode) }

// Create implements Disk.
func (OS) Create(path string) (File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode) //nolint:gosec // the user's choice
}

// Rename implements Disk.
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Publish implements Disk. A file gets its name by a hard link, which fails if the name exists. On a file
// system without hard links, such as that of a USB stick, the name is looked up first; something that gets the
// name in between would be replaced.
func (OS) Publish(draft, name string) error {
	info, err := os.Lstat(draft)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return publishFolder(draft, name)
	}
	err = os.Link(draft, name)
	if err == nil {
		return os.Remove(draft)
	}
	if errors.Is(err, fs.ErrExist) {
		return err
	}
	_, missing := os.Lstat(name)
	switch {
	case missing == nil:
		return &fs.PathError{Op: "publish", Path: name, Err: fs.ErrExist}
	case errors.Is(missing, fs.ErrNotExist):
		return os.Rename(draft, name)
	default:
		return err
	}
}

// publishFolder relies on rename, which replaces no folder with something in it.
func publishFolder(draft, name string) error {
	info, err := os.Lstat(name)
	if err == nil && info.IsDir() {
		err = syscall.Rmdir(name) // fails unless it is empty
		if err != nil {
			return &fs.PathError{Op: "publish", Path: name, Err: fs.ErrExist}
		}
	}
	err = os.Rename(draft, name)
	if errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.ENOTDIR) {
		return &fs.PathError{Op: "publish", Path: name, Err: fs.ErrExist}
	}
	return err
}

// Remove implements Disk.
func (OS) Remove(path string) error { return os.RemoveAll(path) }

// Sync implements Disk.
func (OS) Sync(folder string) error {
	dir, err := os.Open(folder) //nolint:gosec // the user's choice
	if err != nil {
		return err
	}
	err = dir.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil // this file system does not sync folders
	}
	return errors.Join(err, dir.Close())
}

// DraftName returns the path of a new draft in a folder. Drafts are hidden, and nobody else has their name.
func DraftName(folder string) string {
	return filepath.Join(folder, ".packhorse-"+rand.Text()[:12]+".partial")
}

// DiskError says that nothing was kept because the disk failed.
type DiskError struct {
	Where string // the folder or file that was being made
	Err   error
}

func (e *DiskError) Error() string {
	return fmt.Sprintf("write %s: %v; nothing of it was kept", e.Where, e.Err)
}

// Unwrap returns the cause.
func (e *DiskError) Unwrap() error { return e.Err }

// Advice says what to do about the disk.
func (e *DiskError) Advice() string {
	switch {
	case errors.Is(e.Err, syscall.ENOSPC), errors.Is(e.Err, syscall.EDQUOT):
		return "the disk is full: free some space, or name another disk with -o, then run the same command again"
	case errors.Is(e.Err, fs.ErrPermission), errors.Is(e.Err, syscall.EROFS):
		return "you may not write there: name another folder with -o"
	default:
		return "check the disk, or name another with -o, then run the same command again"
	}
}

// ExistsError says that a name is taken by something else. Nothing was overwritten.
type ExistsError struct{ Path string }

func (e *ExistsError) Error() string {
	return e.Path + " exists and is something else; nothing was overwritten"
}

// Advice says how to go on.
func (e *ExistsError) Advice() string { return "move it away, or name another place with -o" }
