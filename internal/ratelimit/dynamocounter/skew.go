package dynamocounter

import (
	"fmt"
	"time"
)

// SkewMax is how far this machine's clock may be off DynamoDB's before nothing is leased any more.
// It is ratelimit.Guard, the margin the proof of the budget leaves to the clocks.
const SkewMax = 250 * time.Millisecond

// dateStep is the resolution of an HTTP Date: it is cut to whole seconds.
const dateStep = time.Second

// SkewError says that the clock of this machine is certainly off by more than [SkewMax]. Nothing
// was leased. Slots leased and freed by such a clock could put more calls into the server's minute
// than it allows, so the clock has to be set right first.
type SkewError struct {
	Skew time.Duration // this clock minus DynamoDB's: the least it can be. Positive: it is ahead
}

func (e *SkewError) Error() string {
	direction, off := "ahead of", e.Skew
	if off < 0 {
		direction, off = "behind", -off
	}
	return fmt.Sprintf("the clock is at least %v %s that of DynamoDB, at most %v are allowed: "+
		"set it right (NTP)", off, direction, SkewMax)
}

// CertainSkew returns by how much a clock is off a server's at the least, given what the clock said
// before a call was sent and after it was answered, and the Date of the answer. It is positive if
// the clock is ahead, and zero if nothing is certain.
//
// Date is cut to whole seconds: when the server wrote it, its clock said something within
// [date, date+1s), and ours said something within [sentAt, receivedAt]. Only what is outside of
// both at once is skew. A lasting skew of less than a second is therefore not seen in every answer,
// but in those that were given near enough to the turn of a second; repeats of a call inside the
// SDK and slow answers make it harder to see, never wrong.
func CertainSkew(sentAt, date, receivedAt time.Time) time.Duration {
	if ahead := sentAt.Sub(date.Add(dateStep)); ahead > 0 {
		return ahead
	}
	return min(receivedAt.Sub(date), 0)
}
