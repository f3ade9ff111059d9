package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"packhorse/internal/investigation"
	"packhorse/internal/verify"
)

// Folder is a folder with a copy of an archive. It never opens anything outside: symbolic links are
// not followed.
type Folder struct {
	path string
	root *os.Root
}

// OpenFolder opens a folder. It MUST be closed.
func OpenFolder(path string) (*Folder, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("open the archive's folder: %w", err)
	}
	return &Folder{path: path, root: root}, nil
}

// Close closes the folder.
func (f *Folder) Close() error { return f.root.Close() }

// About implements Archive.
func (f *Folder) About(context.Context) (verify.About, error) {
	return verify.About{Where: f.path}, nil
}

// List implements Archive.
func (f *Folder) List(ctx context.Context, prefix string) ([]verify.Object, error) {
	var objects []verify.Object
	err := fs.WalkDir(f.root.FS(), ".", func(key string, entry fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case key == "." && err != nil:
			return err
		case key == ".":
			return nil
		case entry.IsDir() && !strings.HasPrefix(prefix, key) && !strings.HasPrefix(key, prefix):
			return fs.SkipDir
		}
		o, ok := objectOf(key, entry, err)
		if ok && strings.HasPrefix(key, prefix) {
			objects = append(objects, o)
		}
		if err != nil && entry.IsDir() {
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", f.path, err)
	}
	slices.SortFunc(objects, func(a, b verify.Object) int { return strings.Compare(a.Key, b.Key) })
	return objects, nil
}

// objectOf describes the entry under a name. Folders are ignored, unless a file should be there.
func objectOf(key string, entry fs.DirEntry, failure error) (verify.Object, bool) {
	o := verify.Object{Key: key}
	switch {
	case failure != nil:
		o.Irregular = fmt.Sprintf("a folder that cannot be read (%v)", reason(failure))
	case entry.IsDir():
		_, isName := investigation.ParseKeyEnd(key)
		o.Irregular = "a folder"
		return o, isName
	case entry.Type()&fs.ModeSymlink != 0:
		o.Irregular = "a symbolic link, which is not followed"
	case !entry.Type().IsRegular():
		o.Irregular = "not a regular file"
	default:
		info, err := entry.Info()
		if err != nil {
			o.Irregular = fmt.Sprintf("an unreadable file (%v)", reason(err))
			return o, true
		}
		o.Size = info.Size()
	}
	return o, true
}

// reason strips the operation and the path, which the caller knows, from an error.
func reason(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

// Open implements Archive.
func (f *Folder) Open(_ context.Context, key, _ string) (io.ReadCloser, error) {
	file, err := f.root.Open(key)
	if err != nil {
		return nil, reason(err)
	}
	return file, nil
}

// Retention implements Archive: a folder does not prevent deletion.
func (f *Folder) Retention(context.Context, string, string) (investigation.Retention, error) {
	return investigation.Retention{}, nil
}
