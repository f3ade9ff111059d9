package records

import (
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"packhorse/cmd/packhorse/console"
	"packhorse/cmd/packhorse/find"
	"packhorse/internal/investigation"
)

// Layout says how a table looks.
type Layout struct {
	Width int  // columns of the terminal; 0 means no limit, and nothing is shortened
	Wide  bool // whole ids, keys and hashes, whatever the width
	Now   time.Time

	Tenants map[string]string // what tenants are called, by id
}

const (
	// noteColumn is the width from which on notes have a column; below, they have a line of their own.
	noteColumn = 160
	// shortNames is the width below which hosts and people go by their short names.
	shortNames = 100
)

// none stands for a value that does not exist.
const none = "–"

// Table writes the records as a table for people.
func Table(out io.Writer, records []investigation.Record, l Layout) error {
	var text strings.Builder
	var err error
	switch {
	case l.Wide:
		err = l.wide(&text, records)
	default:
		err = l.normal(&text, records)
	}
	if err != nil {
		return err
	}
	for _, rec := range records {
		for _, found := range rec.Strangers.List() {
			text.WriteString("\n" + strangerText(rec, found))
		}
	}
	_, err = io.WriteString(out, text.String())
	return err
}

func strangerText(rec investigation.Record, found investigation.Stranger) string {
	return fmt.Sprintf("Stranger  %s, %d bytes, %s\n          stored in place of a file of %s, found %s\n",
		console.CleanLine(found.Key), found.Size,
		console.CleanLine(cmp.Or(found.SHA256, found.Note, "SHA-256 not known")),
		console.CleanLine(cmp.Or(rec.ComputerDNSName, rec.MachineID)),
		found.FoundAt.UTC().Format("2006-01-02 15:04:05Z"))
}

// normal has a column for the tenant if there are several.
func (l Layout) normal(out io.Writer, records []investigation.Record) error {
	inColumn := l.Width == 0 || l.Width >= noteColumn
	head := []string{"CREATED", "ID", "HOST", "REQUESTED BY", "CASE", "STATE", "SIZE"}
	if inColumn {
		head = append(head, "NOTE")
	}
	g := console.Grid{Width: l.Width, Shrink: []int{2, 3, 4, 7}}
	several := find.SeveralTenants(records)
	if several {
		head = append(head[:1:1], append([]string{"TENANT"}, head[1:]...)...)
		for i := range g.Shrink {
			g.Shrink[i]++
		}
		g.Shrink = append(g.Shrink, 1)
	}
	g.Row(head...)
	ids := find.ShortIDs(records)
	for i, rec := range records {
		cells := []string{created(rec)}
		if several {
			cells = append(cells, find.TenantLabel(l.Tenants, rec.TenantID))
		}
		host, person := l.names(rec)
		cells = append(cells, ids[i], host, person, clean(rec.CaseID), StateWord(rec), size(rec))
		note := Note(rec, l.Now)
		if inColumn {
			cells = append(cells, note)
		}
		g.Row(cells...)
		if !inColumn && note != "" {
			g.Line("  " + note)
		}
	}
	_, err := g.WriteTo(out)
	return err
}

// names returns the host and the requestor, as long as the width allows.
func (l Layout) names(rec investigation.Record) (host, person string) {
	host = console.Host(rec.Action)
	if l.Width == 0 || l.Width >= shortNames {
		return host, clean(rec.Requestor)
	}
	if _, err := netip.ParseAddr(host); err != nil {
		host, _, _ = strings.Cut(host, ".")
	}
	person, _, _ = strings.Cut(rec.Requestor, "@")
	return host, clean(person)
}

func (l Layout) wide(out io.Writer, records []investigation.Record) error {
	var g console.Grid
	g.Row("CREATED", "TENANT", "ID", "HOST", "REQUESTED BY", "CASE", "STATE", "SIZE", "SHA-256", "KEY", "NOTE")
	for _, rec := range records {
		g.Row(created(rec), rec.TenantID, rec.ActionID, console.CleanLine(cmp.Or(rec.ComputerDNSName, rec.MachineID)),
			console.CleanLine(cmp.Or(rec.Requestor, none)), console.CleanLine(cmp.Or(rec.CaseID, none)), StateWord(rec),
			size(rec), cmp.Or(rec.Receipt.SHA256, none), console.CleanLine(cmp.Or(Key(rec), none)), Note(rec, l.Now))
	}
	_, err := g.WriteTo(out)
	return err
}

func created(rec investigation.Record) string { return rec.CreatedAt.UTC().Format(console.Minute) }

func clean(text string) string { return console.Clean(cmp.Or(text, none)) }

func size(rec investigation.Record) string {
	if rec.Receipt.Key == "" {
		return none
	}
	return console.Bytes(rec.Receipt.Size)
}

// Key returns the key of the record's package or, if it was not collected, of the manifest that says so. It
// is empty if there is neither.
func Key(rec investigation.Record) string { return cmp.Or(rec.Receipt.Key, rec.ManifestKey) }

// Keys writes the key of each record that has one, one a line.
func Keys(out io.Writer, records []investigation.Record) error {
	var text strings.Builder
	for _, rec := range records {
		if key := Key(rec); key != "" {
			text.WriteString(console.CleanLine(key) + "\n")
		}
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// More says how many records were left out; limit is how far they were counted.
func More(n, limit int) string {
	count := strconv.Itoa(n)
	if at := len(count) - 3; at > 0 { // limits have at most six digits
		count = count[:at] + "," + count[at:]
	}
	if n >= limit {
		count = "at least " + count
	}
	return "… " + count + " more: --limit 0 shows all"
}
