package zipinspect

import "bytes"

// tailMax is how much of a package's end is kept for reading its directory, in bytes: about 80,000
// entries. If a directory is larger, only its end record is checked.
const tailMax = 8 << 20

// zipTail keeps the first and the last bytes of a stream. The zero zipTail is ready for use.
type zipTail struct {
	first [4]byte
	ring  []byte // the last bytes; once tailMax long it wraps at size % tailMax
	whole bool   // the last bytes were read at once: ring does not wrap, whatever its length
}

// write takes p, which begins at the given offset of the stream.
func (t *zipTail) write(p []byte, offset int64) {
	if offset < int64(len(t.first)) {
		copy(t.first[offset:], p)
	}
	if room := tailMax - len(t.ring); room > 0 {
		n := min(room, len(p))
		t.ring = append(t.ring, p[:n]...)
		p, offset = p[n:], offset+int64(n)
	}
	if skip := len(p) - tailMax; skip > 0 {
		p, offset = p[skip:], offset+int64(skip)
	}
	for len(p) > 0 {
		n := copy(t.ring[offset%tailMax:], p)
		p, offset = p[n:], offset+int64(n)
	}
}

// last returns the last n bytes of a stream of the given size, or as many as were kept.
func (t *zipTail) last(n, size int64) []byte {
	return t.slice(size-min(n, size, int64(len(t.ring))), size, size)
}

// slice returns the bytes between two offsets of a stream of the given size, or nil if they were
// not kept or the range is empty. It copies only if the range wraps.
func (t *zipTail) slice(from, to, size int64) []byte {
	if from < size-int64(len(t.ring)) || from < 0 || from >= to || to > size {
		return nil
	}
	if t.whole {
		start := size - int64(len(t.ring))
		return t.ring[from-start : to-start]
	}
	begin, end := from%tailMax, to%tailMax
	if begin < end {
		return t.ring[begin:end]
	}
	return append(bytes.Clone(t.ring[begin:]), t.ring[:end]...)
}
