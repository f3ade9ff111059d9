package records

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"packhorse/cmd/packhorse/console"
	"packhorse/internal/investigation"
)

const second = "2006-01-02 15:04:05Z"

// Detail writes what is known of one package, for people. source says who knows it. Nothing of it was
// verified, and Detail says so.
func Detail(out io.Writer, rec investigation.Record, source string, now time.Time) error {
	d := &detail{}
	d.line("Package", rec.ActionID)
	d.line("Host", joined(rec.ComputerDNSName, "machine "+rec.MachineID))
	d.line("Requested", rec.CreatedAt.UTC().Format(second)+" by "+cmp.Or(rec.Requestor, "somebody unknown")+
		parenthesis(rec.RequestSource))
	d.line("Comment", rec.RequestorComment)
	d.line("Case", cmp.Or(rec.CaseID, "none named in the comment"))
	d.line("Tenant", rec.TenantID)
	d.line("State", joined(cmp.Or(at("archived", rec.ArchivedAt), StateWord(rec)), at("announced", rec.AnnouncedAt)))
	d.line("Note", Note(rec, now))
	d.attempts(rec)
	d.object("Stored", rec.Receipt)
	d.object("Quarantine", rec.Quarantine)
	if rec.ManifestKey != "" {
		d.line("Manifest", rec.ManifestKey)
		if rec.Seal.Sequence > 0 {
			d.line("", fmt.Sprintf("number %d of the tenant's chain", rec.Seal.Sequence))
		}
		d.line("  SHA-256", rec.Seal.Digest)
	}
	for _, found := range rec.Strangers.List() {
		d.line("Stranger", fmt.Sprintf("%s, %d bytes, found %s", found.Key, found.Size, found.FoundAt.UTC().Format(second)))
		d.line("  SHA-256", cmp.Or(found.SHA256, found.Note))
	}
	if more := rec.Strangers.More(); more > 0 {
		d.line("", fmt.Sprintf("and at least %d more", more))
	}
	d.line("Source", source)
	if Key(rec) != "" {
		d.line("Custody", "not checked: packhorse verify "+rec.ActionID)
	}
	_, err := io.WriteString(out, d.text.String())
	return err
}

// detail collects lines with a label.
type detail struct{ text strings.Builder }

// line adds a line, unless the text is empty.
func (d *detail) line(label, text string) {
	if text != "" {
		fmt.Fprintf(&d.text, "%-10s  %s\n", label, console.CleanLine(text))
	}
}

func (d *detail) attempts(rec investigation.Record) {
	if rec.Attempts+rec.ExpiredLinks == 0 {
		return
	}
	text := fmt.Sprint(rec.Attempts)
	if rec.ExpiredLinks > 0 {
		text += fmt.Sprintf(", and %d with a link that had expired", rec.ExpiredLinks)
	}
	d.line("Attempts", text)
	for _, entry := range rec.Journal.Entries() {
		d.line("", entry.At.Format(second)+" "+entry.Message)
	}
}

func (d *detail) object(label string, r investigation.Receipt) {
	if r.Key == "" {
		return
	}
	if r.Bucket != "" {
		d.line(label, "s3://"+r.Bucket+"/"+r.Key)
	} else {
		d.line(label, r.Key)
	}
	if r.VersionID != "" {
		d.line("  version", r.VersionID)
	}
	d.line("  size", fmt.Sprintf("%s (%d bytes)", console.Bytes(r.Size), r.Size))
	d.line("  SHA-256", r.SHA256)
	d.line("  lock", lock(r.Retention))
}

func lock(r investigation.Retention) string {
	var parts []string
	if r.Mode != "" {
		parts = append(parts, r.Mode+" until "+r.Until.UTC().Format(second))
	}
	if r.LegalHold {
		parts = append(parts, "legal hold")
	}
	return cmp.Or(strings.Join(parts, ", "), "none when it was stored")
}

func at(what string, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return what + " " + t.UTC().Format(second)
}

func joined(parts ...string) string {
	var some []string
	for _, part := range parts {
		if part != "" {
			some = append(some, part)
		}
	}
	return strings.Join(some, ", ")
}

func parenthesis(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}
