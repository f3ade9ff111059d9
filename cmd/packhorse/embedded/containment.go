package embedded

import (
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"sync"
	"sync/atomic"
)

// ErrOneServer says that this process already runs an embedded S3 server. The server library needs the
// working directory and keeps global state, so a process can run only one at a time.
var ErrOneServer = errors.New("this process already runs an embedded S3 server")

// contained is true while a server runs in this process.
var contained atomic.Bool

// containment is the only place that deals with what the server library does to the whole process.
// While a server runs:
//
//   - The working directory is the served folder. The library changes to it and addresses every object
//     by a path relative to it, so it cannot be changed back earlier.
//   - os.Stdout, os.Stderr and the standard logger discard everything. The library prints the names of
//     its folders, which would spoil lines of JSON, and its internal errors, which reach its clients as
//     responses anyway. To print meanwhile, keep the *os.File from before. Panics still show: the
//     runtime writes to the file descriptor.
//
// Code that opens a server therefore resolves its relative paths before StartS3 or after Close, which
// restores everything.
type containment struct {
	dir            string // the working directory before; empty if unknown
	stdout, stderr *os.File
	logged         io.Writer
	silence        *os.File
	once           sync.Once
}

// contain prepares the process for the server library. The result MUST be released.
func contain() (*containment, error) {
	if !contained.CompareAndSwap(false, true) {
		return nil, ErrOneServer
	}
	silence, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		contained.Store(false)
		return nil, fmt.Errorf("silence the embedded S3 server: %w", err)
	}
	c := &containment{stdout: os.Stdout, stderr: os.Stderr, logged: log.Writer(), silence: silence}
	c.dir, err = os.Getwd()
	if err != nil {
		c.dir = "" // somebody deleted it: there is nothing to return to
	}
	os.Stdout, os.Stderr = silence, silence
	log.SetOutput(silence)
	return c, nil
}

// release restores the process. It may be called more than once; later calls do nothing.
func (c *containment) release() (err error) {
	c.once.Do(func() {
		os.Stdout, os.Stderr = c.stdout, c.stderr
		log.SetOutput(c.logged)
		err = c.silence.Close()
		if c.dir != "" {
			err = errors.Join(err, os.Chdir(c.dir))
		}
		contained.Store(false)
	})
	if err != nil {
		return fmt.Errorf("leave the folder of the embedded S3 server: %w", err)
	}
	return nil
}
