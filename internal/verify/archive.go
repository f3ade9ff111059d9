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

// Archive is what is verified: a bucket, or a folder with a copy of one. Implementations MUST be
// safe for concurrent use, and change nothing.
type Archive interface {
	// About says what sort of archive it is.
	About(ctx context.Context) (About, error)
	// List returns everything whose key begins with prefix, in the order of keys.
	List(ctx context.Context, prefix string) ([]Object, error)
	// Open returns the bytes of an object in one of its versions; an empty version is the only one.
	// The caller closes them.
	Open(ctx context.Context, key, version string) (io.ReadCloser, error)
	// Retention says what keeps an object's version from being deleted.
	Retention(ctx context.Context, key, version string) (investigation.Retention, error)
}

// About says what sort of archive it is.
type About struct {
	Where     string // for people: a path, or a URL
	Bucket    string // empty: it is a folder
	Versioned bool
}

// Object is what lies under a key.
type Object struct {
	Key  string
	Size int64 // bytes, of what is read: the newest version with bytes
	// Irregular says why there are no bytes to read, such as "a symbolic link"; else it is empty.
	Irregular string
	// Versions are all there are, the newest first; nil where the archive keeps none.
	Versions []Version
}

// Version is one of an object's.
type Version struct {
	ID      string
	Deleted bool // it says that the object is deleted, and has no bytes
	Size    int64
}

// Current returns the id of the newest version with bytes.
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

// gone reports whether whoever asks for the object is told that there is none.
func (o Object) gone() bool { return len(o.Versions) > 0 && o.Versions[0].Deleted }

// allDeleted reports whether no version with bytes is left.
func (o Object) allDeleted() bool {
	_, ok := o.Current()
	return !ok
}

// version returns how many versions lie over the one of that id, or -1 if it is not there.
func (o Object) version(id string) int {
	return slices.IndexFunc(o.Versions, func(v Version) bool { return v.ID == id && !v.Deleted })
}

// under is an archive that begins deeper in another one.
type under struct {
	Archive
	root string
}

// Under returns the archive whose keys are those of a without the root before them.
func Under(a Archive, root string) Archive {
	if root == "" {
		return a
	}
	return under{a, root}
}

func (u under) About(ctx context.Context) (About, error) {
	about, err := u.Archive.About(ctx)
	about.Where = strings.TrimSuffix(about.Where, "/") + "/" + strings.TrimSuffix(u.root, "/")
	// Versions and locks are not those that the manifests speak of: it is a copy.
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

// rootsLooked is how many manifests are asked where the archive begins.
const rootsLooked = 200

var (
	errSeveralRoots = errors.New("there are several archives in it")
	errInside       = errors.New("it is the inside of an archive")
)

// Root finds out where in a the archive begins, by the keys that manifests have in themselves: what
// was copied may lie in a folder of its own. start is what keys begin with that are looked at.
// Where no manifest can be read, the archive begins at start.
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
		return "", fmt.Errorf("%w (its %s): name the folder around it, so that signing-keys/ and the "+
			"manifests of what was not collected are seen too", errInside, inside)
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
	// manifestMax is many times what a manifest has, in bytes.
	manifestMax = 1 << 20
	// signatureMax and publicKeyMax likewise.
	signatureMax = 64 << 10
	publicKeyMax = 64 << 10
)

var (
	errTooLarge  = errors.New("it is too large")
	errIrregular = errors.New("it is no file")
	errDeleted   = errors.New("every version of it is deleted")
)

// readable returns the ids of the versions with bytes, the newest first.
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

// size returns how large a version is.
func (o Object) size(version string) int64 {
	if at := o.version(version); at >= 0 {
		return o.Versions[at].Size
	}
	return o.Size
}

// readSmall reads the newest version of an object that has no more than limit bytes.
func readSmall(ctx context.Context, a Archive, o Object, limit int64) ([]byte, error) {
	version, ok := o.Current()
	if !ok && o.Irregular == "" {
		return nil, errDeleted
	}
	return readVersion(ctx, a, o, version, limit)
}

// readVersion reads one version of such an object.
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
		return nil, fmt.Errorf("%w: it has %d bytes, and %d are the most", errTooLarge, size, limit)
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
		return nil, fmt.Errorf("%w: %d bytes are the most", errTooLarge, limit)
	}
	return text, nil
}

// isWrong reports whether an error of readSmall says something of the object, not of the way to it.
func isWrong(err error) bool {
	return errors.Is(err, errTooLarge) || errors.Is(err, errIrregular) || errors.Is(err, errDeleted)
}
