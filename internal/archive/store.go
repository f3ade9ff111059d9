package archive

import (
	"context"
	"errors"
	"fmt"
	"io"

	"packhorse/internal/investigation"
	"packhorse/internal/pause"
)

// Store streams a package to its place, in these steps:
//
//  1. fill the first buffer; a package that fits is put at once (4)
//  2. begin an upload, and send each part as soon as it is full. If there is a place for what turns
//     out to be no package it is two uploads, since S3 cannot move one to another key, and all is
//     sent twice: name such a place only if this is the last try
//  3. at the end of the stream: is it whole, and a ZIP?
//  4. COMMIT, on the condition that there is no object under the key; abort what is not committed
//
// It reads pkg.Body to its end and does not close it. It never replaces an existing object; if this
// very claim stored that object and only the answer was lost, Store returns the facts about it.
//
// It wraps errors of pkg.Body unchanged. io.ErrUnexpectedEOF means that fewer bytes came than were
// declared. investigation.ErrStartAgain means that another object has the key, or another process
// is writing it: call [Archive.Look] for another place and send the same bytes again.
// investigation.ErrNotAPackage means that the bytes ended and are not a ZIP, or are more than were
// declared; if the place has a Quarantine, they are now there, and the result beside the error
// describes that object. If the quarantine fails, the error does not wrap
// investigation.ErrNotAPackage.
//
// After an error, this call leaves nothing else in the bucket, unless the error reports a failed
// abort.
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
	arrived, err := classify(c, whole, quarantined)
	if err != nil {
		return investigation.Stored{}, err
	}
	stored, err := a.put(ctx, arrived.object, c, buffer[:n])
	if err != nil {
		stored, err = a.already(ctx, arrived.object, c, err)
	}
	return arrived.result(stored, err)
}

// fill reads until the buffer is full or the source ends, and passes the bytes to c. It does not
// use io.ReadFull, which returns io.ErrUnexpectedEOF both for a source that ended and for one that
// was cut off.
func fill(buffer []byte, source io.Reader, c *content) (n int, ended bool, err error) {
	for n < len(buffer) && err == nil {
		var read int
		read, err = source.Read(buffer[n:])
		n += read
	}
	_, _ = c.Write(buffer[:n]) // a hash never fails
	if errors.Is(err, io.EOF) {
		return n, true, nil
	}
	return n, false, err
}

// arrived is the received bytes and the object to store them as.
type arrived struct {
	object
	contains    investigation.Content
	notAPackage error // why it goes to quarantine; nil for a package
}

// classify decides what passed through c. It returns an error if it is not stored at all: it is
// incomplete, or it is not a package and has no quarantine.
func classify(c *content, whole, quarantined object) (arrived, error) {
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

// result returns the result of Store after the commit. If the quarantine could not be written, the
// error does not wrap investigation.ErrNotAPackage: callers must not treat that as done.
func (r arrived) result(stored investigation.Stored, err error) (investigation.Stored, error) {
	switch {
	case err == nil:
		stored.Content = r.contains
		return stored, r.notAPackage
	case r.notAPackage != nil:
		return investigation.Stored{}, fmt.Errorf("quarantine the bytes that are not a package (%s): %w",
			r.notAPackage.Error(), err)
	default:
		return investigation.Stored{}, err
	}
}

// put stores bytes that are completely in memory.
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
