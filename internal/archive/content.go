package archive

import (
	"fmt"
	"io"

	"packhorse/internal/investigation"
	"packhorse/internal/zipinspect"
)

// content collects the facts about a package as it streams past, and its declared length.
type content struct {
	*zipinspect.Stream
	declared int64 // bytes, or investigation.SizeUnknown
}

func newContent(declared int64, inspect bool) *content {
	return &content{Stream: zipinspect.NewStream(inspect), declared: declared}
}

// whole returns the package's content if it is as long as declared and a ZIP.
func (c *content) whole() (investigation.Content, error) {
	if c.declared != investigation.SizeUnknown && c.Size() < c.declared {
		return investigation.Content{}, fmt.Errorf("received %d of %d declared bytes: %w",
			c.Size(), c.declared, io.ErrUnexpectedEOF)
	}
	if c.declared != investigation.SizeUnknown && c.Size() > c.declared {
		return investigation.Content{}, fmt.Errorf("%w: received %d bytes, but %d were declared",
			investigation.ErrNotAPackage, c.Size(), c.declared)
	}
	return c.Content()
}
