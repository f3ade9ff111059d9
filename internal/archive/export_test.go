package archive

// PutsMax is how often a put that meets another writer is sent.
const PutsMax = putsMax

// WriteCollection and ReadCollection are a collection's way into metadata and back.
var (
	WriteCollection = writeCollection
	ReadCollection  = readCollection
)
