package investigation

import "time"

// Counts says how many actions a ledger has, and what came of them lately.
type Counts struct {
	ByState map[State]int // states without actions are left out

	// Archived and NotCollected are the outcomes that were announced at Since or later.
	Since        time.Time
	Archived     int
	NotCollected int
}

// Count counts the records.
func Count(records []Record, since time.Time) Counts {
	c := Counts{ByState: map[State]int{}, Since: since}
	for _, rec := range records {
		c.ByState[rec.State]++
		switch {
		case !rec.AnnouncedSince(since):
		case rec.Reason != "":
			c.NotCollected++
		default:
			c.Archived++
		}
	}
	return c
}
