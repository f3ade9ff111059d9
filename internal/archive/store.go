package archive

import (
	"context"
	"errors"
	"fmt"
	"io"

	"packhorse/internal/investigation"
	"packhorse/internal/pause"
)

// Store streams a package to its place. The order of its effects:
//
//  1. fill the first buffer; a package that fits is put at once (4)
//  2. begin an upload, and send each part as soon as it is full. If there is a place for what turns
//     out to be no package it is two uploads, since S3 cannot move one to another key, and all is
//     sent twice: name such a place only if this is the last try
//  3. at the end of the stream: is it whole, and a ZIP?
//  4. COMMIT, on the condition that there is no object under the key; abort what is not committed
//
// It reads pkg.Body to its end and does not close it. An object that is there already is never
// replaced: if this very claim stored it (its answer was lost) what is known of it is returned.
//
// Errors of pkg.Body are wrapped as they are. io.ErrUnexpectedEOF: fewer bytes came than were
// declared. investigation.ErrStartAgain: something else lies there, or somebody is just writing
// there; [Archive.Look] for another place and send the same bytes again. An error that wraps
// investigation.ErrNotAPackage: the bytes came to their end and are not a ZIP, or more than were
// declared; if the place has a Quarantine they are now there, and what is returned beside the error
// is about that object. Were they to be kept and could not be, the error does not wrap
// investigation.ErrNotAPackage.
//
// After every error nothing else of this call is left in the bucket, unless the error says that an
// abort failed.
func (a *Archive) Store(ctx context.Context, place investigation.Placement,
	pkg investigation.Package,
) (investigation.Stored, error) {
	c := newContent(pkg.Size, true)
	buffer, err := a.buffers.get(ctx)
	if err != nil {
		return investigation.Stored{}, fmt.Errorf("wait for a part buffer: %w", err)
	}
	n, ended, err := fill(buffer, pkg.Body, c)
	if err != nil {
		a.buffers.put(buffer)
		return investigation.Stored{}, fmt.Errorf("read the package: %w", err)
	}
	var partSize int64
	if !ended {
		partSize = int64(len(buffer))
	}
	whole, quarantined, err := a.objects(place, partSize)
	if err != nil {
		a.buffers.put(buffer)
		return investigation.Stored{}, err
	}
	if !ended {
		return a.upload(ctx, c, whole, quarantined, pkg.Body, buffer)
	}
	defer a.buffers.put(buffer)
	arrived, err := judge(c, whole, quarantined)
	if err != nil {
		return investigation.Stored{}, err
	}
	stored, err := a.put(ctx, arrived.object, c, buffer[:n])
	if err != nil {
		stored, err = a.already(ctx, arrived.object, c, err)
	}
	return arrived.result(stored, err)
}

// fill reads until the buffer is full or the source has ended, and passes what it read to c.
// io.ReadFull would not do: it cannot tell a source that ended from one that was cut off, because
// it calls both io.ErrUnexpectedEOF.
func fill(buffer []byte, source io.Reader, c *content) (n int, ended bool, err error) {
	for n < len(buffer) && err == nil {
		var read int
		read, err = source.Read(buffer[n:])
		n += read
	}
	_, _ = c.Write(buffer[:n]) // a hash does not fail
	if errors.Is(err, io.EOF) {
		return n, true, nil
	}
	return n, false, err
}

// arrived is what came, as what it is to be stored.
type arrived struct {
	object
	contains    investigation.Content
	notAPackage error // why it goes to quarantine; nil for a package
}

// judge says what passed through c. The error says why it is not stored at all: it did not come whole,
// or it is not a package and there is no place for such.
func judge(c *content, whole, quarantined object) (arrived, error) {
	contains, err := c.whole()
	switch {
	case err == nil:
		return arrived{object: whole, contains: contains}, nil
	case errors.Is(err, investigation.ErrNotAPackage) && quarantined.key != "":
		return arrived{object: quarantined, notAPackage: err}, nil
	default:
		return arrived{}, err
	}
}

// result returns what Store returns after the commit. If the quarantine could not be written the error
// does not wrap investigation.ErrNotAPackage: callers must not treat that as done.
func (r arrived) result(stored investigation.Stored, err error) (investigation.Stored, error) {
	switch {
	case err == nil:
		stored.Content = r.contains
		return stored, r.notAPackage
	case r.notAPackage != nil:
		return investigation.Stored{}, fmt.Errorf("keep what came in the package's place (%s): %w",
			r.notAPackage.Error(), err)
	default:
		return investigation.Stored{}, err
	}
}

// put stores bytes that are whole in memory.
func (a *Archive) put(ctx context.Context, o object, c *content, body []byte) (
	investigation.Stored, error,
) {
	for puts := 1; ; puts++ {
		in := a.putInput(o, c)
		in.Body = newBody(body)
		out, err := a.s3.PutObject(ctx, in)
		switch {
		case err == nil:
			return a.stored(o, c, out.VersionId), nil
		case statusOf(err) == statusConflict && puts < putsMax:
			if err := pause.For(ctx, putPause); err != nil {
				return investigation.Stored{}, fmt.Errorf("put s3://%s/%s: %w", a.bucket, o.key, err)
			}
		default:
			return investigation.Stored{}, a.explainPut("put", o, err)
		}
	}
}
