package fetch

import (
	"time"

	"packhorse/internal/investigation"
)

// BackOff exports the pause between attempts for its table test.
var BackOff = backOff

// CauseOf exports the cause of a failure for its table test.
var CauseOf = causeOf

// Theirs marks an error as Defender's, like the steps of a fetch.
var Theirs = theirs

// Judge exports the consequence for its table test.
func Judge(rec investigation.Record, failure error, now time.Time) (
	investigation.Reason, investigation.Release,
) {
	v := consequenceOf(rec, failure, now)
	return v.reason, v.release
}
