package export

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"packhorse/cmd/packhorse/storezip"
	"packhorse/cmd/packhorse/take"
)

// tree is an export being made: a hidden folder or ZIP beside its final name.
type tree interface {
	// create begins a file. Only one is open at a time.
	create(name string) (entry, error)
	// publish syncs everything to disk and gives it the final name.
	publish() error
	// abandon removes everything, unless it was published.
	abandon() error
}

// entry is a file of the tree. Its end is Close or Drop.
type entry interface {
	io.WriteCloser
	take.Draft
	rename(name string) error
}

// zipEnding makes an export a ZIP.
const zipEnding = ".zip"

// newTree begins an export with the final name path. It fails if something has that name; an empty folder may.
func newTree(disk take.Disk, path string, at time.Time) (tree, error) {
	isZIP := strings.EqualFold(filepath.Ext(path), zipEnding)
	entries, err := os.ReadDir(path)
	_, missing := os.Lstat(path)
	if !errors.Is(missing, fs.ErrNotExist) && (isZIP || err != nil || len(entries) > 0) {
		return nil, &take.ExistsError{Path: path}
	}
	parent := filepath.Dir(path)
	err = disk.MakeFolder(parent)
	if err != nil {
		return nil, err
	}
	draft := take.DraftName(parent)
	if !isZIP {
		err = disk.MakeFolder(draft)
		if err != nil {
			return nil, errors.Join(err, disk.Remove(draft))
		}
		return &folder{disk: disk, path: path, draft: draft, made: map[string]bool{draft: true}}, nil
	}
	file, err := disk.Create(draft)
	if err != nil {
		return nil, err
	}
	return &archive{disk: disk, path: path, draft: draft, file: file, zip: storezip.New(file, at)}, nil
}

// folder is a tree of files.
type folder struct {
	disk        take.Disk
	path, draft string
	made        map[string]bool // folders
	published   bool
}

// fileEntry is a file of a folder.
type fileEntry struct {
	take.File

	tree *folder
	path string
}

// makeFor makes the folder of a file.
func (f *folder) makeFor(path string) error {
	dir := filepath.Dir(path)
	if f.made[dir] {
		return nil
	}
	err := f.makeFor(dir) // the folder that it is in, which is synced too
	if err == nil {
		err = f.disk.MakeFolder(dir)
	}
	if err != nil {
		return err
	}
	f.made[dir] = true
	return nil
}

func (f *folder) create(name string) (entry, error) {
	path := filepath.Join(f.draft, filepath.FromSlash(name))
	err := f.makeFor(path)
	if err != nil {
		return nil, err
	}
	file, err := f.disk.Create(path)
	if err != nil {
		return nil, err
	}
	return &fileEntry{file, f, path}, nil
}

func (e *fileEntry) rename(name string) error {
	to := filepath.Join(e.tree.draft, filepath.FromSlash(name))
	if to == e.path {
		return nil
	}
	err := e.tree.makeFor(to)
	if err != nil {
		return err
	}
	err = e.tree.disk.Rename(e.path, to)
	e.path = to
	return err
}

// Close syncs the file to disk and closes it.
func (e *fileEntry) Close() error { return errors.Join(e.Sync(), e.File.Close()) }

// Drop implements take.Draft.
func (e *fileEntry) Drop() error {
	return errors.Join(e.File.Close(), e.tree.disk.Remove(e.path))
}

func (f *folder) publish() error {
	for dir := range f.made {
		err := f.disk.Sync(dir)
		if err != nil {
			return err
		}
	}
	err := f.disk.Publish(f.draft, f.path)
	if err != nil {
		return err
	}
	f.published = true
	return f.disk.Sync(filepath.Dir(f.path))
}

func (f *folder) abandon() error {
	if f.published {
		return nil
	}
	return f.disk.Remove(f.draft)
}

// archive is a ZIP.
type archive struct {
	disk        take.Disk
	path, draft string
	file        take.File
	zip         *storezip.Writer
	published   bool
}

// zipEntry is a file of a ZIP.
type zipEntry struct{ *storezip.Entry }

func (e zipEntry) rename(name string) error { return e.Rename(name) }

// Drop implements take.Draft.
func (e zipEntry) Drop() error { return e.Discard() }

func (a *archive) create(name string) (entry, error) {
	e, err := a.zip.Create(name)
	if err != nil {
		return nil, err
	}
	return zipEntry{e}, nil
}

func (a *archive) publish() error {
	for _, step := range []func() error{
		a.zip.Close, a.file.Sync, a.file.Close, func() error { return a.disk.Publish(a.draft, a.path) },
	} {
		err := step()
		if err != nil {
			return err
		}
	}
	a.published = true
	return a.disk.Sync(filepath.Dir(a.path))
}

func (a *archive) abandon() error {
	if a.published {
		return nil
	}
	_ = a.file.Close() // its bytes are not wanted; it may be closed
	return a.disk.Remove(a.draft)
}
