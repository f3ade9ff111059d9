package archive

import (
	"fmt"
	"io"

	"packhorse/internal/investigation"
	"packhorse/internal/zipinspect"
)

// content is what is learned of a package as it passes, and how long it was declared to be.
type content struct {
	*zipinspect.Stream
	declared int64 // bytes, or investigation.SizeUnknown
}

func newContent(declared int64, judge bool) *content {
	return &content{Stream: zipinspect.NewStream(judge), declared: declared}
}

// whole says what is in the package, provided that it is as long as declared, and a ZIP.
func (c *content) whole() (investigation.Content, error) {
	if c.declared != investigation.SizeUnknown && c.Size() < c.declared {
		return investigation.Content{}, fmt.Errorf("%d bytes came of %d declared: %w",
			c.Size(), c.declared, io.ErrUnexpectedEOF)
	}
	if c.declared != investigation.SizeUnknown && c.Size() > c.declared {
		return investigation.Content{}, fmt.Errorf("%w: %d bytes came, %d were declared",
			investigation.ErrNotAPackage, c.Size(), c.declared)
	}
	return c.Content()
}
