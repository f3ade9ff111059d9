package zipinspect_test

import (
	"encoding/binary"
	"strings"
)

const (
	elsewhere = 1<<32 - 1
	times     = 0x5d791813 // of every entry, in MS-DOS format
)

// entryLayout is one file as written.
type entryLayout struct {
	name, data                             string
	madeBy, needed, flags, method          uint16
	volume, internal                       uint16
	attributes                             uint32
	local, central                         [3]uint32 // CRC, compressed and uncompressed size
	localExtra, extra, descriptor, comment string
	offsetElsewhere                        bool // it goes to the extra field
	again                                  bool // only in the directory, at
	offset                                 uint32
}

// zipLayout is a whole file. The zero value is an empty ZIP.
type zipLayout struct {
	before    string // bytes before the first entry
	uncounted bool   // offsets do not count them
	entries   []entryLayout
	between   string // bytes between the directory and the end records
	madeBy    uint16 // in the record for large archives; 0: neither record nor locator
	extension string // after that record's fields
	small     [3]uint32
	volume    uint16
	comment   string
	behind    string // bytes after the comment

	// change may damage the directory's fields and the end records before they are written.
	change func(end *ends)
}

// ends holds the fields of the end records.
type ends struct {
	Entries, Size, Offset uint64 // in the record for large archives
	Record                uint64 // the locator's offset of that record
	Length                uint64 // that record's length field
	Volumes               uint32
	Small                 [3]uint32 // entries (16 bits), size and offset in the small record
}

// numbers returns the fields one after the other.
func numbers(fields ...any) string {
	var b []byte
	for _, field := range fields {
		b, _ = binary.Append(b, binary.LittleEndian, field) // it fails only for other types
	}
	return string(b)
}

// extra64 returns the extra field for large entries.
func extra64(values ...uint64) string {
	return numbers(uint16(1), uint16(8*len(values)), values)
}

// header returns the entry's local header.
func (e entryLayout) header() string {
	return numbers([]byte("PK\x03\x04"), e.needed, e.flags, e.method, uint32(times), e.local,
		uint16(len(e.name)), uint16(len(e.localExtra))) + e.name + e.localExtra
}

// bytes returns the file.
func (z zipLayout) bytes() []byte {
	var file, directory strings.Builder
	file.WriteString(z.before)
	counted := func() int {
		if z.uncounted {
			return file.Len() - len(z.before)
		}
		return file.Len()
	}
	for _, e := range z.entries {
		offset := uint32(counted())
		if e.again {
			offset = e.offset
		} else {
			file.WriteString(e.header() + e.data + e.descriptor)
		}
		extra, needed := e.extra, e.needed
		if e.offsetElsewhere { // as CPython does in the directory
			offset, needed, extra = elsewhere, 45, extra+extra64(uint64(offset))
		}
		directory.WriteString(numbers([]byte("PK\x01\x02"), e.madeBy, needed, e.flags, e.method,
			uint32(times), e.central, uint16(len(e.name)), uint16(len(extra)), uint16(len(e.comment)),
			e.volume, e.internal, e.attributes, offset) + e.name + extra + e.comment)
	}
	end := ends{Entries: uint64(len(z.entries)), Size: uint64(directory.Len()), Offset: uint64(counted()),
		Length: uint64(44 + len(z.extension)), Volumes: 1}
	file.WriteString(directory.String() + z.between)
	end.Record = uint64(counted())
	for i, value := range []uint64{end.Entries, end.Size, end.Offset} {
		end.Small[i] = max(z.small[i], uint32(value))
	}
	if z.change != nil {
		z.change(&end)
	}
	if z.madeBy != 0 {
		file.WriteString(numbers([]byte("PK\x06\x06"), end.Length, z.madeBy, uint16(45), uint32(0), uint32(0),
			end.Entries, end.Entries, end.Size, end.Offset) + z.extension)
		file.WriteString(numbers([]byte("PK\x06\x07"), uint32(0), end.Record, end.Volumes))
	}
	file.WriteString(numbers([]byte("PK\x05\x06"), z.volume, z.volume, uint16(end.Small[0]),
		uint16(end.Small[0]), end.Small[1:], uint16(len(z.comment))) + z.comment + z.behind)
	return []byte(file.String())
}
