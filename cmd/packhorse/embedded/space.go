package embedded

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"syscall"
	"time"

	"packhorse/internal/investigation"
)

const (
	// spaceKept is the space in bytes that packages leave free. The ledger and the manifests are
	// usually on the same disk, and SQLite cannot even record a failure on a full one.
	spaceKept = 16 << 20

	// sizeAssumed is the minimum size in bytes assumed for a package until its host declares the
	// real one.
	sizeAssumed = 16 << 20

	// copies is how many copies of a package are on the disk at most: its parts, and the object
	// that the S3 server copies them into.
	copies = 2

	// latestMax is how many sizes are remembered.
	latestMax = 99

	// spacePause is how long a package waits for space before the disk is checked again. That costs
	// no call.
	spacePause = time.Minute
)

// Space manages the free space on the embedded archive's disk. It is safe for concurrent use.
//
// It remembers sizes for the life of the process. A package that is too big for the disk therefore
// costs one link and not one each time it is due, and the sizes of other packages are estimated
// from recent ones.
type Space struct {
	dir  string
	free func(dir string) (int64, error)
	now  func() time.Time

	mu     sync.Mutex                 // guards the fields below
	tooBig map[investigation.ID]int64 // declared sizes of packages that did not fit
	latest []int64                    // declared sizes, the latest last
	aside  map[investigation.ID]int64 // bytes that packages in flight may take
}

// NewSpace returns the Space on the disk of dir. free returns the number of free bytes there:
// [FreeBytes], or a test's function.
func NewSpace(dir string, free func(dir string) (int64, error), now func() time.Time) *Space {
	return &Space{
		dir: dir, free: free, now: now,
		tooBig: map[investigation.ID]int64{}, aside: map[investigation.ID]int64{},
	}
}

// FullError means that a package does not fit on the disk. It wraps a
// *[investigation.PostponedError].
type FullError struct {
	Dir     string
	Free    int64 // bytes
	Needed  int64 // bytes
	RetryAt time.Time
}

// Error says how much space is free, how much is needed, and what to do.
func (e *FullError) Error() string {
	return fmt.Sprintf("the disk of %s is full: %d MiB are left, and storing this package needs %d MiB;"+
		" free some space", e.Dir, e.Free>>20, (e.Needed+1<<20-1)>>20)
}

// Unwrap returns the same fact as an error of package investigation.
func (e *FullError) Unwrap() error {
	return &investigation.PostponedError{RetryAt: e.RetryAt, Err: syscall.ENOSPC}
}

// Room implements fetch.Space. If the disk cannot be checked, it is assumed to have room: the
// archive reports the problem in better words.
func (s *Space) Room(ctx context.Context, id investigation.ID, size int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	declared := size != investigation.SizeUnknown
	if declared {
		s.learn(size)
	} else {
		size = s.guess(id)
	}
	delete(s.aside, id)
	delete(s.tooBig, id)
	free, err := s.free(s.dir)
	for _, bytes := range s.aside {
		free -= bytes
	}
	needed := copies * size
	if err == nil && free < needed+spaceKept {
		if declared {
			s.tooBig[id] = size
		}
		return &FullError{
			Dir: s.dir, Free: max(free, 0), Needed: needed + spaceKept, RetryAt: s.now().Add(spacePause),
		}
	}
	s.aside[id] = needed
	context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.aside, id)
	})
	return nil
}

// Needed returns how much space in bytes storing a package of this size takes, with what stays free. A size of 0 is
// one that nobody knows.
func Needed(size int64) int64 { return copies*max(size, sizeAssumed) + spaceKept }

// guess estimates the size of the action's package without a link. It returns the size declared
// when the package did not fit, or the median of recent sizes, but at least the assumed size. With
// the median, one huge package among many small ones does not block those.
func (s *Space) guess(id investigation.ID) int64 {
	if size, ok := s.tooBig[id]; ok {
		return size
	}
	sizes := append([]int64{sizeAssumed}, s.latest...)
	slices.Sort(sizes)
	return max(sizeAssumed, sizes[(len(sizes)-1)/2])
}

func (s *Space) learn(size int64) {
	s.latest = append(s.latest, size)
	s.latest = s.latest[max(0, len(s.latest)-latestMax):]
}

// FreeBytes returns how many bytes an unprivileged process can still write on the disk of dir. A
// file system that does not report its size never counts as full.
func FreeBytes(dir string) (int64, error) {
	var disk syscall.Statfs_t
	err := syscall.Statfs(dir, &disk)
	if err != nil {
		return 0, fmt.Errorf("get the free space of %s: %w", dir, err)
	}
	if disk.Blocks == 0 {
		return math.MaxInt64, nil
	}
	return int64(disk.Bavail) * int64(disk.Bsize), nil //nolint:unconvert // no disk has 8 EiB; the types differ by system
}
