package zipinspect

import (
	"bytes"
	"encoding/binary"
)

// An entry of the central directory. Source: APPNOTE.TXT 6.3.10, sections 4.3.12, 4.4 and 4.5.3.
const (
	directorySignature = "PK\x01\x02"
	directoryLength    = 46 // without name, extra field and comment

	// localLength is a local header's length without name and extra field.
	localLength = 30

	extra64 = 1 // the id of the extra field for large entries

	// Bits 0, 6 and 13 of the flags: encrypted, strongly encrypted, local header masked.
	flagsEncrypted = 1 | 1<<6 | 1<<13

	// The upper half of the external attributes is a Unix mode. It is checked whatever system the
	// entry claims to be from, since some unpacking programs ignore the system too.
	modeShift   = 16
	modeKind    = 0xf000
	modeSymlink = 0xa000
)

// entry is one file's record in the central directory.
type entry struct {
	name                             []byte
	flags                            uint16
	method                           uint16
	crc                              uint32 // CRC-32 of the uncompressed bytes
	mode                             uint32
	compressed, uncompressed, offset uint64
	volume                           uint16
}

func (e *entry) encrypted() bool { return e.flags&flagsEncrypted != 0 }
func (e *entry) symlink() bool   { return e.mode&modeKind == modeSymlink }

// nextEntry returns the entry that p begins with, and the rest of p. number is for the error.
func nextEntry(p []byte, number uint64) (entry, []byte, error) {
	if len(p) < directoryLength || !bytes.HasPrefix(p, []byte(directorySignature)) {
		return entry{}, nil, notAPackage("entry %d of its directory is broken", number)
	}
	name := directoryLength + int(binary.LittleEndian.Uint16(p[28:]))
	extra := name + int(binary.LittleEndian.Uint16(p[30:]))
	length := extra + int(binary.LittleEndian.Uint16(p[32:]))
	if length > len(p) {
		return entry{}, nil, notAPackage("entry %d of its directory points outside", number)
	}
	e := entry{
		name:         p[directoryLength:name],
		flags:        binary.LittleEndian.Uint16(p[8:]),
		method:       binary.LittleEndian.Uint16(p[10:]),
		crc:          binary.LittleEndian.Uint32(p[16:]),
		mode:         binary.LittleEndian.Uint32(p[38:]) >> modeShift,
		compressed:   uint64(binary.LittleEndian.Uint32(p[20:])),
		uncompressed: uint64(binary.LittleEndian.Uint32(p[24:])),
		offset:       uint64(binary.LittleEndian.Uint32(p[42:])),
		volume:       binary.LittleEndian.Uint16(p[34:]),
	}
	e.enlarge(p[name:extra])
	if e.volume != 0 && e.volume != elsewhere16 {
		return entry{}, nil, notAPackage("entry %d of its directory is in another volume", number)
	}
	return e, p[length:], nil
}

// enlarge reads the numbers that are too large for the entry from its extra field. A number that
// the field lacks is really the largest small one. A broken field is ignored: it does not show
// whether all bytes came.
func (e *entry) enlarge(extra []byte) {
	for len(extra) >= 4 {
		id, length := binary.LittleEndian.Uint16(extra), int(binary.LittleEndian.Uint16(extra[2:]))
		extra = extra[4:]
		if length > len(extra) {
			return
		}
		if id != extra64 {
			extra = extra[length:]
			continue
		}
		field := extra[:length]
		for _, number := range []*uint64{&e.uncompressed, &e.compressed, &e.offset} {
			if *number != elsewhere32 {
				continue
			}
			if len(field) < 8 {
				return
			}
			*number, field = binary.LittleEndian.Uint64(field), field[8:]
		}
		return
	}
}
