package fetch

import (
	"context"

	"packhorse/internal/investigation"
)

// Space is the room that is left for packages. It is asked before the link is, because a link costs
// a call of the budget whether or not there is room for what it leads to.
type Space interface {
	// Room returns nil if the action's package can be stored, and keeps the room for it until ctx
	// ends. size is in bytes, or investigation.SizeUnknown before a host has declared it. Where there
	// is too little room the error wraps *investigation.PostponedError: that is not the package's
	// fault, so it counts as no attempt.
	Room(ctx context.Context, id investigation.ID, size int64) error
}

// Unlimited is the Space of a bucket in S3, which never fills up.
type Unlimited struct{}

// Room always returns nil.
func (Unlimited) Room(context.Context, investigation.ID, int64) error { return nil }
