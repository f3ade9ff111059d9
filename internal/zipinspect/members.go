package zipinspect

import (
	"bytes"
	"fmt"
	"io"

	"packhorse/internal/investigation"
)

// Range opens length bytes of an object, from an offset on. A range that ends early is an error of its reader
// or a short read; both are reported.
type Range func(offset, length int64) (io.ReadCloser, error)

// Directory is what a ZIP's directory says about its members. Nothing of it was compared with the members
// themselves.
type Directory struct {
	Members []Member
	Content investigation.Content // what [Stream] finds in the same bytes

	start int64 // where the directory begins, and members end
}

// Member is one file of a ZIP.
type Member struct {
	Name       string // as it stands there: any bytes at all
	Size       int64  // bytes
	Compressed int64  // bytes in the ZIP
	CRC32      uint32
	Method     uint16
	Encrypted  bool

	offset int64 // of its local header
}

// windows are the sizes of a ZIP's end that are read, one after the other, until the directory is inside. The
// first holds any end record and the directory of some 400 files.
func windows() []int64 { return []int64{128 << 10, 1 << 20, tailMax} }

// ReadDirectory reads the directory of a ZIP with the given size, and nothing else of it but the first four
// bytes. The error wraps investigation.ErrNotAPackage if the object is not a whole ZIP.
func ReadDirectory(open Range, size int64) (Directory, error) {
	t := zipTail{whole: true}
	if size >= int64(len(t.first)) {
		first, err := read(open, 0, int64(len(t.first)))
		if err != nil {
			return Directory{}, err
		}
		copy(t.first[:], first)
	}
	for _, window := range windows() {
		tail, err := read(open, size-min(window, size), min(window, size))
		if err != nil {
			return Directory{}, err
		}
		t.ring = tail
		isLast := window >= size || window == tailMax
		d, err := t.directory(size)
		if !isLast && (err != nil || d.start < size-window) {
			continue
		}
		if err != nil {
			return Directory{}, err
		}
		return t.members(d, size)
	}
	return Directory{}, notAPackage("it has no directory") // not reached: the last window returns
}

// members lists the entries of a directory that was read.
func (t *zipTail) members(found directory, size int64) (Directory, error) {
	content, err := t.inventory(size)
	if err != nil {
		return Directory{}, err
	}
	p := t.slice(found.start, found.end, size)
	if int64(len(p)) < found.end-found.start {
		return Directory{}, fmt.Errorf("the ZIP's directory has %d bytes, more than are looked at (%d)",
			found.end-found.start, int64(tailMax))
	}
	d := Directory{Content: content, start: found.start}
	for bytes.HasPrefix(p, []byte(directorySignature)) {
		e, rest, err := nextEntry(p, uint64(len(d.Members))+1)
		if err != nil {
			return Directory{}, err
		}
		d.Members = append(d.Members, Member{
			Name: string(e.name), Size: int64(min(e.uncompressed, numberMax)), Compressed: int64(e.compressed),
			CRC32: e.crc, Method: e.method, Encrypted: e.encrypted(), offset: int64(e.offset + found.base),
		})
		p = rest
	}
	return d, nil
}

// read returns a range, whole.
func read(open Range, offset, length int64) (_ []byte, err error) {
	body, err := open(offset, length)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }() // read to its end
	p := make([]byte, length)
	_, err = io.ReadFull(body, p)
	if err != nil {
		return nil, fmt.Errorf("read %d bytes at %d: %w", length, offset, err)
	}
	return p, nil
}
