package take

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"packhorse/internal/manifest"
	"packhorse/internal/verify"
)

// Source is the evidence to copy from.
type Source struct {
	// Verify verifies through the archive that wrap returns.
	Verify func(ctx context.Context, wrap func(verify.Archive) verify.Archive, scope verify.Scope,
		reporter verify.Reporter) (verify.Summary, error)
	// PEM returns a public key that signatures are checked with.
	PEM func(id string) ([]byte, error)
	// Require lists checks without which nothing is copied.
	Require []verify.Check
}

// Folder is where copies go.
type Folder struct {
	Disk Disk
	Path string // absolute
}

// Result says what became of a copy.
type Result struct {
	Summary verify.Summary
	Items   []Item
	Files   []Taken // empty unless everything verified
}

// Taken is a file in the folder.
type Taken struct {
	What    string // package, quarantined, manifest, signature or public key
	Name    string
	Size    int64
	SHA256  string
	Already bool // an identical file was there before

	draft *draft // nil until it is written
	text  []byte // of a small file
}

// The kinds of files.
const (
	WhatPackage    = "package"
	WhatQuarantine = "quarantined"
	WhatManifest   = "manifest"
	WhatSignature  = "signature"
	WhatKey        = "public key"
)

// One copies the evidence under a key into the folder. In this order:
//
//  1. The package is written to a hidden draft while it is verified. Its manifest and signature stay in memory.
//  2. Unless everything to hand over verified, the draft is removed, and Result has no files.
//  3. Names that exist are compared: an identical file is kept, and anything else ends it here.
//  4. Drafts are synced to disk, and get their names: the package last.
//
// Its error means that nothing was copied, or only papers.
func One(ctx context.Context, from Source, key string, to Folder, reporter verify.Reporter) (_ Result, err error) {
	err = to.Disk.MakeFolder(to.Path)
	if err != nil {
		return Result{}, &DiskError{to.Path, err}
	}
	var tap *Tap
	defer func() {
		if tap != nil {
			err = errors.Join(err, tap.Drop())
		}
	}()
	sum, err := from.Verify(ctx, func(a verify.Archive) verify.Archive {
		tap = NewTap(a, func(manifest.Manifest, []byte) (Draft, error) { return to.draft() })
		return tap
	}, verify.Scope{Key: key}, reporter)
	if tap != nil && tap.Err() != nil {
		return Result{}, &DiskError{to.Path, tap.Err()}
	}
	if ctx.Err() != nil {
		return Result{}, &InterruptedError{to.Path, context.Cause(ctx)}
	}
	if err != nil {
		return Result{}, err
	}
	r := Result{Summary: sum, Items: tap.Items(ctx, sum, from.PEM)}
	if !r.acceptable(from.Require) {
		return r, nil
	}
	files, err := filesOf(r.Items, from.PEM)
	if err != nil {
		return Result{}, err
	}
	r.Files, err = to.publish(ctx, files)
	return r, err
}

// acceptable reports whether what was copied may be handed over.
func (r Result) acceptable(required []verify.Check) bool {
	v := r.Summary.Verdict()
	return (v == verify.Pass || v == verify.Partial) && AllVerified(r.Items) && len(r.Summary.Unmade(required)) == 0
}

// filesOf lists what to write, the package of each item last.
func filesOf(items []Item, pem func(id string) ([]byte, error)) ([]Taken, error) {
	var names Names
	var files []Taken
	small := func(what, name string, text []byte) {
		files = append(files, Taken{What: what, Name: name, Size: int64(len(text)), SHA256: digestOf(text), text: text})
	}
	keys := map[string]bool{}
	for _, i := range items {
		name := names.Of("", i.Manifest, i.Digest)
		if id := i.Manifest.Signature.KeyID; !keys[id] {
			keys[id] = true
			text, err := pem(id)
			if err != nil {
				return nil, err
			}
			small(WhatKey, id+EndKey, text)
		}
		small(WhatSignature, name+EndSignature, i.Signature)
		small(WhatManifest, name+EndManifest, i.Text)
		if o := i.Manifest.Object; o != nil {
			what := WhatPackage
			if i.Manifest.Outcome == manifest.OutcomeQuarantined {
				what = WhatQuarantine
			}
			d, _ := i.Object.Draft.(*draft)
			files = append(files, Taken{
				What: what, Name: name + ObjectEnding(i.Manifest), Size: o.Size, SHA256: o.SHA256, draft: d,
			})
		}
	}
	return files, nil
}

// publish gives all files their names, or none if a different file has one of them.
func (f Folder) publish(ctx context.Context, files []Taken) ([]Taken, error) {
	for i := range files {
		already, err := f.same(files[i])
		if err != nil {
			return nil, err
		}
		files[i].Already = already
	}
	for i := range files {
		if ctx.Err() != nil {
			return nil, &InterruptedError{f.Path, context.Cause(ctx)}
		}
		if files[i].Already {
			continue
		}
		err := f.put(&files[i])
		if errors.Is(err, fs.ErrExist) {
			return nil, &ExistsError{filepath.Join(f.Path, files[i].Name)}
		}
		if err != nil {
			return nil, &DiskError{filepath.Join(f.Path, files[i].Name), err}
		}
	}
	err := f.Disk.Sync(f.Path)
	if err != nil {
		return nil, &DiskError{f.Path, err}
	}
	return files, nil
}

// same reports whether the name exists with the same bytes. An [ExistsError] means that it has others.
func (f Folder) same(file Taken) (bool, error) {
	path := filepath.Join(f.Path, file.Name)
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look whether %s exists: %w", path, err)
	}
	if !info.Mode().IsRegular() || info.Size() != file.Size {
		return false, &ExistsError{path}
	}
	sum, err := hashFile(path)
	if err != nil {
		return false, fmt.Errorf("compare %s: %w", path, err)
	}
	if sum != file.SHA256 {
		return false, &ExistsError{path}
	}
	return true, nil
}

func hashFile(path string) (_ string, err error) {
	file, err := os.Open(path) //nolint:gosec // the user's choice
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	h := sha256.New()
	_, err = io.Copy(h, file)
	return hex.EncodeToString(h.Sum(nil)), err
}

// put writes a small file, or takes the draft of a package, and gives it its name.
func (f Folder) put(file *Taken) (err error) {
	d := file.draft
	if d == nil {
		small, err := f.draft()
		if err != nil {
			return err
		}
		d, _ = small.(*draft)
		_, err = io.Copy(d, bytes.NewReader(file.text))
		if err != nil {
			return errors.Join(err, d.Drop())
		}
	}
	err = d.publish(filepath.Join(f.Path, file.Name))
	if err != nil {
		return errors.Join(err, d.Drop())
	}
	return nil
}

// draft is a file without a final name.
type draft struct {
	File

	disk Disk
	path string
	done bool // published or dropped
}

func (f Folder) draft() (Draft, error) {
	path := DraftName(f.Path)
	file, err := f.Disk.Create(path)
	if err != nil {
		return nil, err
	}
	return &draft{File: file, disk: f.Disk, path: path}, nil
}

// publish syncs the file to disk and gives it its name.
func (d *draft) publish(name string) error {
	err := d.Sync()
	if err != nil {
		return err
	}
	err = d.Close()
	if err != nil {
		return err
	}
	err = d.disk.Publish(d.path, name)
	if err != nil {
		return err
	}
	d.done = true
	return nil
}

// Drop implements Draft. It does nothing after the draft was published.
func (d *draft) Drop() error {
	if d.done {
		return nil
	}
	d.done = true
	_ = d.Close() // the bytes are not wanted; the file may be closed
	return d.disk.Remove(d.path)
}

// InterruptedError says that somebody stopped it.
type InterruptedError struct {
	Where string
	Err   error
}

func (e *InterruptedError) Error() string {
	return fmt.Sprintf("interrupted; nothing unfinished was kept in %s", e.Where)
}

// Unwrap returns the cause.
func (e *InterruptedError) Unwrap() error { return e.Err }

// Advice says how to go on.
func (e *InterruptedError) Advice() string { return "run the same command again" }
