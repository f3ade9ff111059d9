package dynamocounter

import (
	"fmt"
	"time"
)

// SkewMax is how far this machine's clock may differ from DynamoDB's. Beyond that, nothing is leased. It
// equals ratelimit.Guard, the margin that the proof of the budget leaves for the clocks.
const SkewMax = 250 * time.Millisecond

// dateStep is the resolution of an HTTP Date, which is cut to whole seconds.
const dateStep = time.Second

// SkewError says that this machine's clock is certainly off by more than [SkewMax]. Nothing was leased or
// settled: with such a clock more calls could fall into the server's minute than it allows. Correct the
// clock first.
type SkewError struct {
	Skew time.Duration // this clock minus DynamoDB's, at least; positive if this clock is ahead
}

func (e *SkewError) Error() string {
	direction, off := "ahead of", e.Skew
	if off < 0 {
		direction, off = "behind", -off
	}
	return fmt.Sprintf("this machine's clock is at least %v %s DynamoDB's, at most %v is allowed: "+
		"synchronize it (NTP)", off, direction, SkewMax)
}

// CertainSkew returns the least difference between our clock and a server's, given our clock before a call
// was sent and after its answer arrived, and the Date of the answer. The result is positive if our clock
// is ahead, and zero if the two may agree.
//
// Date is cut to whole seconds: when the server wrote it, the server's clock was within [date, date+1s)
// and ours was within [sentAt, receivedAt]. Only the gap between these two ranges is certain to be skew.
// A lasting skew of less than a second therefore does not show in every answer, only in those close enough
// to the turn of a second. Retries inside the SDK and slow answers can hide a skew, but never invent one.
func CertainSkew(sentAt, date, receivedAt time.Time) time.Duration {
	if ahead := sentAt.Sub(date.Add(dateStep)); ahead > 0 {
		return ahead
	}
	return min(receivedAt.Sub(date), 0)
}
