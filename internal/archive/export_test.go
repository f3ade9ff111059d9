package archive

// PutsMax is how often a put that meets another writer is sent.
const PutsMax = putsMax

// WriteCollection and ReadCollection convert a collection to metadata and back.
var (
	WriteCollection = writeCollection
	ReadCollection  = readCollection
)
