package archive

import (
	"bytes"
	"context"
	"io"
)

// buffers hands out a limited number of part buffers. It cannot deadlock: a goroutine that fills a
// buffer holds no other, and one that sends a buffer returns it without needing another.
type buffers struct {
	size int
	free chan []byte // nil: a buffer that is not allocated yet
}

func newBuffers(size, count int) *buffers {
	b := &buffers{size: size, free: make(chan []byte, count)}
	for range count {
		b.free <- nil
	}
	return b
}

// get waits for a buffer, or returns the cause of the context's end.
func (b *buffers) get(ctx context.Context) ([]byte, error) {
	select {
	case buffer := <-b.free:
		if buffer == nil {
			buffer = make([]byte, b.size)
		}
		return buffer, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (b *buffers) put(buffer []byte) { b.free <- buffer[:b.size] }

// newBody returns a request body that can be sent again.
func newBody(p []byte) io.ReadSeeker { return bytes.NewReader(p) }
