package investigation

import "time"

// InRange reports whether t, in UTC, is in the years 2016 to 9999, the only ones Defender can mean.
// A time outside that range must not reach a ledger, which could write it but not read it back: RFC 3339
// ends with the year 9999. The comparison is in UTC because 9999-12-31T23:59:59-01:00 is in year 10000.
func InRange(t time.Time) bool {
	y := t.UTC().Year()
	return y >= yearMin && y <= yearMax
}
