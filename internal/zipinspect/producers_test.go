package zipinspect_test

// The byte layouts of ZIPs from common programs. Those named for Info-ZIP (zip 3.0), 7-Zip (26.02),
// libarchive (bsdtar 3.6.2), CPython (3.11, with ZIP64_LIMIT lowered to get its behavior from 2 GiB
// on) and Java (OpenJDK 17) were compared with a file that the program itself wrote, and differ
// only in times. The others had no such file to compare with: .NET's is a streamed entry with
// backslashes in its name, as .NET Framework wrote before 4.6.1. archive/zip writes the files of
// the other tests here.

const (
	hello    = "hello\n"
	helloCRC = 0x363a3020
	deflated = "\xcb\x48\xcd\xc9\xc9\xe7\x02\x00" // hello

	unix     = 3 << 8
	utf8Name = 1 << 11 // in an entry's flags
)

// stored returns a file whose size was known in advance, or whose writer could seek.
func stored(name string, madeBy uint16) entryLayout {
	sizes := [3]uint32{helloCRC, uint32(len(hello)), uint32(len(hello))}
	return entryLayout{name: name, data: hello, madeBy: madeBy, needed: 10, attributes: 0o100644 << 16,
		local: sizes, central: sizes}
}

// emptied returns e without content.
func emptied(e entryLayout) entryLayout {
	e.data, e.local, e.central, e.internal = "", [3]uint32{}, [3]uint32{}, 0
	return e
}

// streamed returns an entry that was written before its size was known: a data descriptor follows.
func streamed(name string, madeBy uint16) entryLayout {
	sizes := [3]uint32{helloCRC, uint32(len(deflated)), uint32(len(hello))}
	return entryLayout{name: name, data: deflated, madeBy: madeBy, needed: 20, flags: 8, method: 8,
		descriptor: numbers([]byte("PK\x07\x08"), sizes), central: sizes}
}

// large returns e with its sizes in the extra field of its local header.
func large(e entryLayout, sizes ...uint64) entryLayout {
	e.needed, e.local = 45, [3]uint32{e.local[0], elsewhere, elsewhere}
	e.localExtra += extra64(sizes...)
	if e.descriptor != "" {
		e.descriptor = numbers([]byte("PK\x07\x08"), uint32(helloCRC), uint64(len(deflated)), uint64(len(hello)))
	}
	return e
}

// producers are whole packages as common programs write them, without oddities.
func producers() map[string]zipLayout {
	all := map[string]zipLayout{
		"zip64, empty": {madeBy: 45, small: [3]uint32{0xffff, elsewhere, elsewhere}},
		"zip64, with an extension": {entries: []entryLayout{stored("a.txt", 20)}, madeBy: 45,
			extension: "\x14\x65\x04\x00\x00\x00sign"},
	}
	for _, some := range []map[string]zipLayout{infoZip(), python(), others()} {
		for name, z := range some {
			all[name] = z
		}
	}
	return all
}

func infoZip() map[string]zipLayout {
	const infoZip = unix | 30
	file := stored("a.txt", infoZip)
	file.internal = 1 // it is text
	pipe := large(stored("-", infoZip), uint64(len(hello)), uint64(len(hello)))
	pipe.attributes, pipe.internal = 0o010600<<16, 1
	pipes := large(streamed("-", infoZip), 0, 0)
	pipes.attributes, pipes.internal = pipe.attributes, 1
	forced := large(file, uint64(len(hello)), uint64(len(hello)))
	forced.central[2], forced.extra = elsewhere, extra64(uint64(len(hello)))
	return map[string]zipLayout{
		"Info-ZIP":                {entries: []entryLayout{file, emptied(stored("empty", infoZip))}},
		"Info-ZIP, comment":       {entries: []entryLayout{file}, comment: "a comment"},
		"Info-ZIP, from a pipe":   {entries: []entryLayout{pipe}, madeBy: infoZip},
		"Info-ZIP, between pipes": {entries: []entryLayout{pipes}},
		"Info-ZIP, -fz": {entries: []entryLayout{forced}, madeBy: infoZip,
			small: [3]uint32{2: elsewhere}},
	}
}

func python() map[string]zipLayout {
	const small, big = unix | 20, unix | 45
	file, umlaut, late := stored("a.txt", small), stored("ä.txt", small), stored("b.txt", big)
	file.needed, umlaut.needed, late.needed = 20, 20, 20
	umlaut.flags, late.offsetElsewhere = utf8Name, true
	piped, pipedUmlaut := streamed("a.txt", small), streamed("ä.txt", small)
	pipedUmlaut.flags |= utf8Name
	pipedBig := large(streamed("b.txt", big), 0, 0)
	all := map[string]zipLayout{
		"CPython":                      {entries: []entryLayout{file, umlaut}},
		"CPython, empty":               {},
		"CPython, to a pipe":           {entries: []entryLayout{piped, pipedUmlaut, pipedBig}},
		"CPython, between 2 and 4 GiB": {entries: []entryLayout{file, late}, madeBy: 45},
	}
	for i := range all["CPython, to a pipe"].entries {
		all["CPython, to a pipe"].entries[i].attributes = 0o600 << 16
	}
	return all
}

func others() map[string]zipLayout {
	const seven, tar, tar64, java, net = unix | 63, unix | 20, unix | 45, 20, 20
	folder := entryLayout{name: "dir/", madeBy: seven, needed: 20, attributes: 0o40755<<16 | 0x8010}
	var sevens []entryLayout
	for _, e := range []entryLayout{stored("a.txt", seven), folder, stored("dir/b.txt", seven),
		emptied(stored("empty", seven))} {
		if e.name != folder.name {
			e.attributes |= 0x8020
		}
		sevens = append(sevens, e)
	}
	// Extra fields for times and owners.
	const extra = "UT\x0d\x00\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
		"ux\x0b\x00\x01\x04\x00\x00\x00\x00\x04\x00\x00\x00\x00"
	folder.madeBy, folder.attributes = tar, 0o40755<<16
	file, file64 := streamed("a.txt", tar), streamed("a.txt", tar64)
	for _, e := range []*entryLayout{&folder, &file, &file64} {
		e.localExtra, e.extra = extra, extra
	}
	file.local[2], file.attributes, file64.attributes = uint32(len(hello)), 0o100644<<16, 0o100644<<16
	javas, nets, dos := streamed("a.txt", java), streamed(`Autoruns\autoruns.csv`, net), stored("M\x81ller.txt", 20)
	javas.flags |= utf8Name
	return map[string]zipLayout{
		"7-Zip":             {entries: sevens},
		"libarchive":        {entries: []entryLayout{folder, file}},
		"libarchive, zip64": {entries: []entryLayout{folder, large(file64, uint64(len(hello)), 0)}, madeBy: 45},
		"Java":              {entries: []entryLayout{javas}, comment: "c"},
		".NET":              {entries: []entryLayout{nets}},
		"CP437":             {entries: []entryLayout{dos}}, // as MS-DOS and Windows Explorer write "Müller.txt"
	}
}
