package console

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"packhorse/internal/investigation"
)

// Summary is the result of a run for one tenant.
type Summary struct {
	TenantID  string
	Name      string                 // empty for the tenant that needs no entry in the registry
	Records   []investigation.Record // of the tenant: those that the run finished or left open, at least
	Earlier   int                    // how many were done before the run and are not among them
	StartedAt time.Time
	EndedAt   time.Time
	// Locate returns where to find a receipt's object: a path or an s3:// URL.
	Locate func(investigation.Receipt) string
	// Evidence says how to prove what was stored.
	Evidence Evidence
	// Judge is the verdict of the simulator in this process, or nil without one.
	Judge *Judgement
	// Simulated is true if a simulator plays the tenant, in this process or elsewhere.
	Simulated bool
}

// Evidence describes the end of the tenant's chain of manifests and how to check it.
type Evidence struct {
	Sequence int64  `json:"sequence"` // of the last manifest; 0 if there are none
	Digest   string `json:"digest"`   // SHA-256 of the last manifest; keep a copy elsewhere
	KeyID    string `json:"keyId"`    // of the signing key
	Check    string `json:"-"`        // the command that checks all of it
	Find     string `json:"-"`        // the command that lists what is stored
}

// Judgement is the simulator's verdict on the run, after comparing the archive with what it served.
type Judgement struct {
	Passed           bool     `json:"passed"`
	PackageURICalls  int      `json:"packageUriCalls"`
	MostInAnyMinute  int      `json:"mostInAnyMinute"`
	PerMinute        int      `json:"perMinute"`
	MostPerArchived  int      `json:"mostPerArchived"`
	FilesCompared    int      `json:"filesCompared"`
	FilesDifferent   int      `json:"filesDifferent"`
	Leaks            int      `json:"leaks"`
	BrokenRules      []string `json:"brokenRules"`
	ServedBeforeThis int      `json:"servedBeforeThis"` // archived by an earlier run, so not compared
}

// counts has the number of records by outcome.
type counts struct {
	Archived     int   `json:"archived"`
	NotCollected int   `json:"notCollected"`
	Waiting      int   `json:"waiting"`
	Open         int   `json:"open"` // ready, being fetched, or not yet announced
	Earlier      int   `json:"earlier"`
	Bytes        int64 `json:"bytes"`
}

func (s Summary) counts() counts {
	c := counts{Earlier: s.Earlier}
	for _, rec := range s.Records {
		switch {
		case rec.State == investigation.StateDone && rec.AnnouncedAt.Before(s.StartedAt):
			c.Earlier++
		case rec.State == investigation.StateDone && rec.Reason != "":
			c.NotCollected++
		case rec.State == investigation.StateDone:
			c.Archived++
			c.Bytes += rec.Receipt.Size
		case rec.State == investigation.StateWaiting:
			c.Waiting++
		default:
			c.Open++
		}
	}
	return c
}

// current returns the records this run worked on or left open, oldest first.
func (s Summary) current() []investigation.Record {
	var current []investigation.Record
	for _, rec := range s.Records {
		if rec.State != investigation.StateDone || !rec.AnnouncedAt.Before(s.StartedAt) {
			current = append(current, rec)
		}
	}
	slices.SortStableFunc(current, investigation.ByCreation)
	return current
}

// Table writes the summary for people: a row per action, the totals and, in a simulation, the judge's verdict.
// On a terminal, width columns wide, the rows fit it. Elsewhere width is 0, nothing is shortened, and the
// stored objects follow in the format of sha256sum -c.
func (s Summary) Table(out io.Writer, width int) error {
	return atOnce(out, func(out io.Writer) error { return s.table(out, width) })
}

func (s Summary) table(out io.Writer, width int) error {
	if s.Simulated {
		fmt.Fprintf(out, "\n%s\n", simulation)
	}
	if len(s.current()) > 0 {
		g := s.grid(false)
		if width > 0 && !g.fits(width) {
			g = s.grid(true)
			g.Width, g.Shrink = width, []int{0, 1, 2}
		}
		fmt.Fprintln(out)
		_, err := g.WriteTo(out)
		if err != nil {
			return err
		}
	}
	if width == 0 {
		fmt.Fprintln(out)
		s.stored(out)
	}
	s.totals(out, width)
	s.evidence(out)
	s.verdict(out)
	return nil
}

// grid returns a row per action. Brief rows leave out the domains of hosts and people.
func (s Summary) grid(brief bool) *Grid {
	var g Grid
	g.Row("HOST", "REQUESTED BY", "RESULT", "SIZE", "ATTEMPTS", "TOOK")
	for _, rec := range s.current() {
		g.Row(actionCells(rec, brief)...)
	}
	return &g
}

// actionCells are the cells of an action, from HOST to TOOK.
func actionCells(rec investigation.Record, brief bool) []string {
	size, took := "–", "–"
	if rec.Receipt.Key != "" {
		size = Bytes(rec.Receipt.Size)
		took = rec.ArchivedAt.Sub(rec.CompletedAt()).Round(time.Second).String()
	}
	on, by := host(rec.Action), Clean(rec.Requestor)
	if brief {
		on, _, _ = strings.Cut(on, ".")
		by, _, _ = strings.Cut(by, "@")
	}
	return []string{on, by, Outcome(rec), size, strconv.Itoa(rec.Attempts), took}
}

// atOnce collects the output of write and passes it on in a single write, so that no failed write goes
// unnoticed.
func atOnce(out io.Writer, write func(io.Writer) error) error {
	var text bytes.Buffer
	err := write(&text)
	if err != nil {
		return err
	}
	_, err = out.Write(text.Bytes())
	return err
}

// stored lists the stored objects in the format of sha256sum -c.
func (s Summary) stored(out io.Writer) {
	for _, rec := range s.current() {
		if rec.Receipt.Key != "" {
			fmt.Fprintf(out, "%s  %s\n", rec.Receipt.SHA256, s.Locate(rec.Receipt))
		}
	}
}

func (s Summary) totals(out io.Writer, width int) {
	fmt.Fprintf(out, "\n%s\n", Fit(s.counts().text(s.EndedAt.Sub(s.StartedAt)), width))
}

func (c counts) text(took time.Duration) string {
	text := fmt.Sprintf("%d archived (%s), %d not collected, %d waiting, %d open; in %s",
		c.Archived, Bytes(c.Bytes), c.NotCollected, c.Waiting, c.Open, took.Round(time.Second))
	if c.Earlier > 0 {
		text += fmt.Sprintf("; %d done earlier", c.Earlier)
	}
	return text
}

func (s Summary) evidence(out io.Writer) {
	e := s.Evidence
	if e.Sequence == 0 {
		return
	}
	fmt.Fprint(out, "\nEvidence\n")
	fmt.Fprintf(out, "  chain     manifests 1 to %d; the last one has the SHA-256\n", e.Sequence)
	fmt.Fprintf(out, "            %s\n", e.Digest)
	e.places(out)
}

// places says which key signed the manifests, and how to check and find what they are about.
func (e Evidence) places(out io.Writer) {
	fmt.Fprintf(out, "  key       %s\n", e.KeyID)
	fmt.Fprintf(out, "  check it  %s\n", e.Check)
	fmt.Fprintf(out, "  find it   %s\n", e.Find)
}

func (s Summary) verdict(out io.Writer) {
	j := s.Judge
	if j == nil {
		return
	}
	word := "PASS"
	if !j.Passed {
		word = "FAIL"
	}
	fmt.Fprintf(out, "\nJudge: %s\n", word)
	j.facts(out)
}

// facts says what a judgement is based on.
func (j *Judgement) facts(out io.Writer) {
	fmt.Fprintf(out, "  getPackageUri   %d calls, at most %d in any 60 s (limit %d) and %d a package\n",
		j.PackageURICalls, j.MostInAnyMinute, j.PerMinute, j.MostPerArchived)
	fmt.Fprintf(out, "  SHA-256         %d of %d stored files equal what was served\n",
		j.FilesCompared-j.FilesDifferent, j.FilesCompared)
	fmt.Fprintf(out, "  links, tokens   %d where they do not belong\n", j.Leaks)
	for _, rule := range j.BrokenRules {
		fmt.Fprintf(out, "  broken rule     %s\n", CleanLine(rule))
	}
}

// Outcome returns the action's outcome in words, or its state while it has none.
func Outcome(rec investigation.Record) string {
	switch {
	case rec.Reason != "":
		return "not collected: " + string(rec.Reason)
	case rec.Receipt.Key != "":
		return "archived"
	default:
		return string(rec.State)
	}
}
