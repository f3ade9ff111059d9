package archive

import (
	"bytes"
	"context"
	"io"
)

// buffers hands out part buffers, of which there are only so many. Nobody deadlocks: who fills a
// buffer holds no other, and who sends one gives it back without needing another.
type buffers struct {
	size int
	free chan []byte // nil: a buffer that was never needed yet
}

func newBuffers(size, count int) *buffers {
	b := &buffers{size: size, free: make(chan []byte, count)}
	for range count {
		b.free <- nil
	}
	return b
}

// get waits for a buffer, or returns the reason the context ended.
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

// newBody is a request body that can be sent again.
func newBody(p []byte) io.ReadSeeker { return bytes.NewReader(p) }
