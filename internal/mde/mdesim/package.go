package mdesim

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"sort"
	"sync"
)

// The layout of a package is computed first: headers, and between them stretches of one repeated
// block of pseudo-random bytes. So any part can be read at any time, a package of many gigabytes
// needs only a megabyte of memory, and its size is exactly what was requested.

const (
	blockBytes = 1 << 20

	// fillerBytesMax is the largest entry. Larger packages have more entries, so only the directory
	// needs ZIP64 fields.
	fillerBytesMax = 1 << 30

	// largeFrom is the size from which ZIP64 records are written, because the directory may then lie
	// beyond 32 bits.
	largeFrom = 1<<32 - 1<<21

	// smallBytes is the size of each small entry; packages below smallFrom do not have any.
	smallBytes = 4 << 10
	smallFrom  = 256 << 10
)

// The folders of a real Windows package. Source: "Collect investigation package from devices" in
// respond-machine-alerts of the documentation.
var (
	smallEntries = []string{
		"Autoruns/AutoRuns.csv",
		"CollectionSummaryReport.xls",
		"Installed programs/InstalledPrograms.csv",
		"Network connections/ActiveNetConnections.txt",
		"Network connections/Arp.txt",
		"Network connections/DnsCache.txt",
		"Network connections/FirewallExecutionLog.txt",
		"Network connections/IpConfig.txt",
		"Prefetch files/PrefetchFilesList.txt",
		"Processes/Processes.csv",
		"Scheduled tasks/ScheduledTasks.csv",
		"Services/Services.csv",
		"System Information/SystemInformation.txt",
		"Temp Directories/TempDirectories.txt",
		"Users and Groups/UsersAndGroups.csv",
		"WdSupportLogs/MPSupportFiles.cab",
		"WdSupportLogs/MpCmdRunLog.txt",
		"Windows Server Message Block (SMB) sessions/SmbOutboundSessions.txt",
	}
	fillerEntry = "Security event log/SecurityEventLog%04d.evtx"
)

// entry is a file of the package: part of the repeated block.
type entry struct {
	name   string
	length int64
	shift  int64 // where it starts in the block
}

// zipPackage is a ZIP with stored entries. It is an io.ReaderAt, safe for concurrent use.
type zipPackage struct {
	size    int64
	entries []entry
	large   bool

	block    func() []byte    // made on first use, as are
	segments func() []segment // these, which need every byte once for the checksums,
	sha256   func() string    // and this
}

// segment is a part of the package: literal bytes or an entry's content.
type segment struct {
	begin, length int64
	literal       []byte
	shift         int64
}

// newZipPackage lays out a package of the given size; the same seed gives the same package. The
// minimum is an archive with one empty entry.
func newZipPackage(size int64, seed uint64) *zipPackage {
	p := &zipPackage{large: size >= largeFrom}
	if size >= smallFrom {
		for i, name := range smallEntries {
			p.entries = append(p.entries, entry{name, smallBytes, int64(i * smallBytes)})
		}
	}
	first := len(p.entries)
	for i := range max(1, (size+fillerBytesMax-1)/fillerBytesMax) {
		p.entries = append(p.entries, entry{name: fmt.Sprintf(fillerEntry, i+1), shift: i * 7919})
	}
	rest := max(0, size-p.length())
	for i := first; i < len(p.entries); i++ {
		p.entries[i].length = min(rest, fillerBytesMax)
		rest -= p.entries[i].length
	}
	p.size = p.length()
	p.block = sync.OnceValue(func() []byte { return randomBlock(seed) })
	p.segments = sync.OnceValue(p.build)
	p.sha256 = sync.OnceValue(p.digest)
	return p
}

func randomBlock(seed uint64) []byte {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	block := make([]byte, blockBytes)
	_, _ = rand.NewChaCha8(key).Read(block) // never fails
	return block
}

// length is the size of the laid-out package.
func (p *zipPackage) length() int64 {
	total := int64(len(endRecords(0, 0, 0, p.large)))
	for _, e := range p.entries {
		total += int64(len(localHeader(e, 0))+len(directoryHeader(e, 0, 0, p.large))) + e.length
	}
	return total
}

// build makes the segments.
func (p *zipPackage) build() []segment {
	var segments []segment
	var at int64
	literal := func(b []byte) {
		segments = append(segments, segment{begin: at, length: int64(len(b)), literal: b})
		at += int64(len(b))
	}
	var directory []byte
	for _, e := range p.entries {
		sum := p.checksum(e)
		directory = append(directory, directoryHeader(e, sum, at, p.large)...)
		literal(localHeader(e, sum))
		segments = append(segments, segment{begin: at, length: e.length, shift: e.shift})
		at += e.length
	}
	end := endRecords(len(p.entries), at, int64(len(directory)), p.large)
	literal(append(directory, end...))
	return segments
}

// checksum is the CRC-32 of an entry.
func (p *zipPackage) checksum(e entry) uint32 {
	sum, block := uint32(0), p.block()
	for done := int64(0); done < e.length; {
		from := (e.shift + done) % blockBytes
		n := min(blockBytes-from, e.length-done)
		sum = crc32.Update(sum, crc32.IEEETable, block[from:from+n])
		done += n
	}
	return sum
}

// digest is the SHA-256 of the package in hexadecimal.
func (p *zipPackage) digest() string {
	sum := sha256.New()
	_, _ = io.Copy(sum, io.NewSectionReader(p, 0, p.size)) // neither side fails
	return hex.EncodeToString(sum.Sum(nil))
}

// ReadAt implements io.ReaderAt.
func (p *zipPackage) ReadAt(b []byte, offset int64) (int, error) {
	if offset < 0 {
		return 0, errors.New("mdesim: negative offset")
	}
	segments, block := p.segments(), p.block()
	i := sort.Search(len(segments), func(i int) bool {
		return segments[i].begin+segments[i].length > offset
	})
	n := 0
	for ; i < len(segments) && n < len(b); i++ {
		s := segments[i]
		for at := offset + int64(n) - s.begin; at < s.length && n < len(b); {
			source := s.literal[min(at, int64(len(s.literal))):]
			if s.literal == nil {
				source = block[(s.shift+at)%blockBytes:]
				source = source[:min(int64(len(source)), s.length-at)]
			}
			copied := copy(b[n:], source)
			n, at = n+copied, at+int64(copied)
		}
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// The records of a ZIP. Source: APPNOTE.TXT 6.3.10, sections 4.3.7 and 4.3.12 to 4.3.16.

const (
	zipVersion      = 20
	zipVersionLarge = 45
	zipUTF8         = 0x800
	dosTime         = 0x4800 // 09:00
	dosDate         = 0x5d63 // 2026-11-03
	zipLarge        = 1<<32 - 1
)

func localHeader(e entry, sum uint32) []byte {
	var b bytes.Buffer
	put(&b, "PK\x03\x04", uint16(zipVersion), uint16(zipUTF8), uint16(0), uint16(dosTime),
		uint16(dosDate), sum, uint32(e.length), uint32(e.length), uint16(len(e.name)), uint16(0), e.name)
	return b.Bytes()
}

func directoryHeader(e entry, sum uint32, local int64, large bool) []byte {
	var b bytes.Buffer
	version, offset, extra := uint16(zipVersion), uint32(local), uint16(0)
	if large {
		version, offset, extra = zipVersionLarge, zipLarge, 12
	}
	put(&b, "PK\x01\x02", version, version, uint16(zipUTF8), uint16(0), uint16(dosTime),
		uint16(dosDate), sum, uint32(e.length), uint32(e.length), uint16(len(e.name)), extra,
		uint16(0), uint16(0), uint16(0), uint32(0), offset, e.name)
	if large {
		put(&b, uint16(1), uint16(8), uint64(local))
	}
	return b.Bytes()
}

func endRecords(entries int, directory, length int64, large bool) []byte {
	var b bytes.Buffer
	count, size, offset := uint16(entries), uint32(length), uint32(directory)
	if large {
		put(&b, "PK\x06\x06", uint64(44), uint16(zipVersionLarge), uint16(zipVersionLarge),
			uint32(0), uint32(0), uint64(entries), uint64(entries), uint64(length), uint64(directory))
		put(&b, "PK\x06\x07", uint32(0), uint64(directory+length), uint32(1))
		count, size, offset = 1<<16-1, zipLarge, zipLarge
	}
	put(&b, "PK\x05\x06", uint16(0), uint16(0), count, count, size, offset, uint16(0))
	return b.Bytes()
}

// put appends strings unchanged and numbers in little-endian order.
func put(b *bytes.Buffer, fields ...any) {
	for _, field := range fields {
		if text, ok := field.(string); ok {
			b.WriteString(text)
			continue
		}
		err := binary.Write(b, binary.LittleEndian, field)
		if err != nil {
			panic("mdesim: a field of a ZIP record: " + err.Error())
		}
	}
}
