package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
)

// Archive is the bucket to verify, or a folder with a copy of one. Implementations MUST be safe for
// concurrent use and MUST NOT change anything.
type Archive interface {
	// About describes the archive.
	About(ctx context.Context) (About, error)
	// List returns all objects whose key begins with prefix, sorted by key.
	List(ctx context.Context, prefix string) ([]Object, error)
	// Open returns the bytes of one version of an object; an empty version means the only one.
	// The caller closes them.
	Open(ctx context.Context, key, version string) (io.ReadCloser, error)
	// Retention returns the lock on a version of an object.
	Retention(ctx context.Context, key, version string) (investigation.Retention, error)
}

// About says what sort of archive it is.
type About struct {
	Where     string // for people: a path, or a URL
	Bucket    string // empty for a folder
	Versioned bool
}

// Object is one key of the archive and its versions.
type Object struct {
	Key  string
	Size int64 // bytes, of the newest version that is not deleted
	// Irregular says why it has no bytes to read, such as "a symbolic link". Empty for a regular object.
	Irregular string
	// Versions lists all versions, newest first; nil if the archive does not keep versions.
	Versions []Version
}

// Version is one version of an object.
type Version struct {
	ID      string
	Deleted bool // a delete marker, without bytes
	Size    int64
}

// Current returns the id of the newest version that is not a delete marker.
func (o Object) Current() (id string, ok bool) {
	if o.Irregular != "" {
		return "", false
	}
	if o.Versions == nil {
		return "", true
	}
	for _, v := range o.Versions {
		if !v.Deleted {
			return v.ID, true
		}
	}
	return "", false
}

// gone reports whether the object looks deleted to a reader that does not name a version.
func (o Object) gone() bool { return len(o.Versions) > 0 && o.Versions[0].Deleted }

// allDeleted reports whether no readable version is left.
func (o Object) allDeleted() bool {
	_, ok := o.Current()
	return !ok
}

// version returns how many versions are newer than the one with that id, or -1 if it does not exist.
func (o Object) version(id string) int {
	return slices.IndexFunc(o.Versions, func(v Version) bool { return v.ID == id && !v.Deleted })
}

// under is an archive inside a folder of another one.
type under struct {
	Archive
	root string
}

// Under returns the archive inside the folder root of a.
func Under(a Archive, root string) Archive {
	if root == "" {
		return a
	}
	return under{a, root}
}

func (u under) About(ctx context.Context) (About, error) {
	about, err := u.Archive.About(ctx)
	about.Where = strings.TrimSuffix(about.Where, "/") + "/" + strings.TrimSuffix(u.root, "/")
	// It is a copy, so its versions and locks are not those that the manifests record.
	about.Bucket, about.Versioned = "", false
	return about, err
}

func (u under) List(ctx context.Context, prefix string) ([]Object, error) {
	objects, err := u.Archive.List(ctx, u.root+prefix)
	objects = slices.DeleteFunc(objects, Object.gone)
	for i := range objects {
		objects[i].Key = strings.TrimPrefix(objects[i].Key, u.root)
		objects[i].Versions = nil
	}
	return objects, err
}

func (u under) Open(ctx context.Context, key, version string) (io.ReadCloser, error) {
	return u.Archive.Open(ctx, u.root+key, version)
}

func (u under) Retention(ctx context.Context, key, version string) (investigation.Retention, error) {
	return u.Archive.Retention(ctx, u.root+key, version)
}

// rootsLooked limits how many manifests Root reads.
const rootsLooked = 200

var (
	errSeveralRoots = errors.New("it contains several archives")
	errInside       = errors.New("it is a folder inside an archive")
)

// Root finds the folder of a in which the archive begins, from the keys that manifests contain: a copy may
// be in a folder. Root looks only at keys that begin with start. If it cannot read any manifest, it
// returns start.
func Root(ctx context.Context, a Archive, start string) (string, error) {
	objects, err := a.List(ctx, start)
	if err != nil {
		return "", err
	}
	roots, looked := map[string]bool{}, 0
	inside := ""
	for _, o := range objects {
		n, ok := investigation.ParseKeyEnd(o.Key)
		if !ok || n.Part != investigation.PartManifest || looked == rootsLooked {
			continue
		}
		looked++
		key, ok := ownKey(ctx, a, o)
		if !ok {
			continue
		}
		root, found := strings.CutSuffix(o.Key, key)
		switch {
		case found && (root == "" || strings.HasSuffix(root, "/")):
			roots[root] = true
		case strings.HasSuffix(key, "/"+o.Key):
			inside = strings.TrimSuffix(key, o.Key)
		}
	}
	switch {
	case len(roots) > 1:
		names := make([]string, 0, len(roots))
		for root := range roots {
			names = append(names, "./"+root)
		}
		slices.Sort(names)
		return "", fmt.Errorf("%w (%s): name one of them", errSeveralRoots, strings.Join(names, ", "))
	case len(roots) == 1:
		for root := range roots {
			return root, nil
		}
	case inside != "":
		return "", fmt.Errorf("%w (its %s): name the folder around it, to include signing-keys/ and "+
			"the manifests of packages that were not collected", errInside, inside)
	}
	return start, nil
}

// ownKey returns the key that a manifest says it has.
func ownKey(ctx context.Context, a Archive, o Object) (string, bool) {
	text, err := readSmall(ctx, a, o, manifestMax)
	if err != nil {
		return "", false
	}
	m, err := manifest.Parse(text)
	if err != nil {
		return "", false
	}
	key, err := m.Key()
	return key, err == nil && key != ""
}

const (
	// manifestMax is many times the size of a manifest, in bytes.
	manifestMax = 1 << 20
	// signatureMax and publicKeyMax are just as generous.
	signatureMax = 64 << 10
	publicKeyMax = 64 << 10
)

var (
	errTooLarge  = errors.New("it is too large")
	errIrregular = errors.New("not a regular file")
	errDeleted   = errors.New("every version is deleted")
)

// readable returns the ids of the versions that are not delete markers, newest first.
func (o Object) readable() []string {
	if o.Versions == nil {
		return []string{""}
	}
	var ids []string
	for _, v := range o.Versions {
		if !v.Deleted {
			ids = append(ids, v.ID)
		}
	}
	return ids
}

// size returns the size of a version.
func (o Object) size(version string) int64 {
	if at := o.version(version); at >= 0 {
		return o.Versions[at].Size
	}
	return o.Size
}

// readSmall reads the newest version of an object, up to limit bytes.
func readSmall(ctx context.Context, a Archive, o Object, limit int64) ([]byte, error) {
	version, ok := o.Current()
	if !ok && o.Irregular == "" {
		return nil, errDeleted
	}
	return readVersion(ctx, a, o, version, limit)
}

// readVersion reads one version of an object, up to limit bytes.
func readVersion(ctx context.Context, a Archive, o Object, version string, limit int64) (
	_ []byte, err error,
) {
	if o.Irregular != "" {
		return nil, fmt.Errorf("%w: it is %s", errIrregular, o.Irregular)
	}
	if o.Versions != nil && o.version(version) < 0 {
		return nil, errDeleted
	}
	if size := o.size(version); size > limit {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", errTooLarge, size, limit)
	}
	body, err := a.Open(ctx, o.Key, version)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	text, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > limit {
		return nil, fmt.Errorf("%w: at most %d bytes are allowed", errTooLarge, limit)
	}
	return text, nil
}

// isWrong reports whether an error of readSmall is about the object itself, and not about reaching it.
func isWrong(err error) bool {
	return errors.Is(err, errTooLarge) || errors.Is(err, errIrregular) || errors.Is(err, errDeleted)
}
