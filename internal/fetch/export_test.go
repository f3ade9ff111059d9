package fetch

import (
	"time"

	"packhorse/internal/investigation"
)

// BackOff opens the pause between attempts to its table test.
var BackOff = backOff

// CauseOf opens the cause of a failure to its table test.
var CauseOf = causeOf

// Theirs marks an error as Defender's, as the steps of a fetch do.
var Theirs = theirs

// Judge opens the verdict to its table test.
func Judge(rec investigation.Record, failure error, now time.Time) (
	investigation.Reason, investigation.Release,
) {
	v := judge(rec, failure, now)
	return v.reason, v.release
}
