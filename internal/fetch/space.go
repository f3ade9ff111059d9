package fetch

import (
	"context"

	"packhorse/internal/investigation"
)

// Space is the room that is left for packages. It is checked before a link is requested, because a link
// costs a call of the budget even if its package does not fit.
type Space interface {
	// Room returns nil if there is room for the action's package, and reserves it until ctx ends. size is
	// in bytes, or investigation.SizeUnknown until the host has declared it. If there is too little room,
	// the error wraps *investigation.PostponedError: that is not the package's fault, so it does not count
	// as an attempt.
	Room(ctx context.Context, id investigation.ID, size int64) error
}

// Unlimited is the Space of a bucket in S3, which never fills up.
type Unlimited struct{}

// Room always returns nil.
func (Unlimited) Room(context.Context, investigation.ID, int64) error { return nil }
