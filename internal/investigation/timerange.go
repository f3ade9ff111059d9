package investigation

import "time"

// InRange reports whether t is a time Defender can mean: in UTC it lies in the years 2016 to 9999.
// A time outside that range must not reach a ledger: RFC 3339 has no year 10000, so what was written
// could not be read again. The comparison is in UTC because 9999-12-31T23:59:59-01:00 is in year 10000.
func InRange(t time.Time) bool {
	y := t.UTC().Year()
	return y >= yearMin && y <= yearMax
}
