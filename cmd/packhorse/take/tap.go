// Package take copies evidence out of an archive while package verify reads it. Each byte is read once, and a
// copy has the very bytes that were verified.
//
// A [Tap] stands between verification and archive. [Tap.Items] pairs what passed with what was found. [One]
// puts a single package into a folder, under its final name only after it verified. The package judges nothing
// itself: whether something agrees is for package verify.
package take

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
	"packhorse/internal/verify"
)

// Draft receives the bytes of an object before it is known whether they verify.
type Draft interface {
	io.Writer
	// Drop takes everything back that was written. It is called at most once.
	Drop() error
}

// Copy is a copied object.
type Copy struct {
	Draft Draft
	Key   string
	Size  int64 // bytes
	whole bool  // the end was reached
}

// described is a manifest that names an object.
type described struct {
	m    manifest.Manifest
	text []byte
}

// Tap is an archive whose objects are copied as they are read. It is safe for concurrent use, but serves one
// verification only.
type Tap struct {
	verify.Archive

	// begin returns the draft of the object that a manifest describes, or nil if it is not wanted.
	begin func(m manifest.Manifest, text []byte) (Draft, error)
	turn  chan struct{} // taken while an object is copied: drafts are written one after the other

	mu     sync.Mutex // guards what follows
	texts  map[string][][]byte
	named  map[string]described // by the key of the object
	copies map[string]*Copy     // by key; nil while it is not begun
	failed error                // the first error of a draft
}

// NewTap returns a Tap on an archive.
func NewTap(archive verify.Archive, begin func(m manifest.Manifest, text []byte) (Draft, error)) *Tap {
	return &Tap{
		Archive: archive, begin: begin, turn: make(chan struct{}, 1), texts: map[string][][]byte{},
		named: map[string]described{}, copies: map[string]*Copy{},
	}
}

// Open implements verify.Archive. Verification opens all manifests first, then the object that each describes,
// and strangers last. So the first object opened under a key that a manifest names is the one to copy.
func (t *Tap) Open(ctx context.Context, key, version string) (io.ReadCloser, error) {
	body, err := t.Archive.Open(ctx, key, version)
	if err != nil {
		return nil, err
	}
	parts, ok := investigation.ParseKey(key)
	if !ok {
		return body, nil
	}
	if parts.Part != investigation.PartObject {
		return &textReader{ReadCloser: body, tap: t, key: key}, nil
	}
	from, ok := t.claim(key)
	if !ok {
		return body, nil
	}
	copied, err := t.copy(ctx, key, from)
	if err != nil {
		return nil, errors.Join(err, body.Close())
	}
	if copied == nil {
		return body, nil
	}
	return &objectReader{ReadCloser: body, tap: t, copy: copied}, nil
}

// claim returns the manifest that describes the object under a key, once.
func (t *Tap) claim(key string) (described, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	from, ok := t.named[key]
	_, begun := t.copies[key]
	if !ok || begun {
		return described{}, false
	}
	t.copies[key] = nil
	return from, true
}

// copy begins a draft, when it is its turn. It returns nil if the object is not wanted.
func (t *Tap) copy(ctx context.Context, key string, from described) (*Copy, error) {
	select {
	case t.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	draft, err := t.begin(from.m, from.text)
	if err != nil {
		<-t.turn
		return nil, t.fail(err)
	}
	if draft == nil {
		<-t.turn
		return nil, nil
	}
	copied := &Copy{Draft: draft, Key: key}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.copies[key] = copied
	return copied, nil
}

// fail records the first error of a draft. Verification would take it for an unreadable object.
func (t *Tap) fail(err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failed == nil {
		t.failed = err
	}
	return err
}

// Err returns the first error of a draft, if any.
func (t *Tap) Err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failed
}

// Drop takes back every draft.
func (t *Tap) Drop() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []error
	for key, copied := range t.copies {
		if copied != nil {
			all = append(all, copied.Draft.Drop())
			t.copies[key] = nil
		}
	}
	return errors.Join(all...)
}

// keep remembers the bytes of a manifest or signature.
func (t *Tap) keep(key string, text []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.texts[key] = append(t.texts[key], text)
	m, err := manifest.Parse(text)
	if err != nil || m.Object == nil {
		return
	}
	if _, known := t.named[m.Object.Key]; !known {
		t.named[m.Object.Key] = described{m, text}
	}
}

// textReader keeps what is read of a small object.
type textReader struct {
	io.ReadCloser

	tap  *Tap
	key  string
	text bytes.Buffer
}

func (r *textReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	_, _ = r.text.Write(p[:n]) // a bytes.Buffer does not fail
	return n, err
}

// Close implements io.Closer. Verification closes what it read before it uses it.
func (r *textReader) Close() error {
	r.tap.keep(r.key, r.text.Bytes())
	return r.ReadCloser.Close()
}

// objectReader copies what is read of an object.
type objectReader struct {
	io.ReadCloser

	tap  *Tap
	copy *Copy
}

func (r *objectReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if n > 0 {
		_, failed := r.copy.Draft.Write(p[:n])
		if failed != nil {
			return 0, r.tap.fail(fmt.Errorf("copy %s: %w", r.copy.Key, failed))
		}
		r.copy.Size += int64(n)
	}
	if errors.Is(err, io.EOF) {
		r.copy.whole = true
	}
	return n, err
}

// Close implements io.Closer.
func (r *objectReader) Close() error {
	<-r.tap.turn
	return r.ReadCloser.Close()
}
