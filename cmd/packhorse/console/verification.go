package console

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"packhorse/internal/verify"
)

// Verification presents a [verify.Summary] to people.
type Verification struct {
	verify.Summary
	Ledger string // where it is; empty without one
}

// Table writes what was verified, what was found, and the verdict.
func (v Verification) Table(out io.Writer) error { return atOnce(out, v.table) }

func (v Verification) table(out io.Writer) error {
	fmt.Fprintf(out, "\nArchive  %s\n", CleanLine(v.Where))
	if v.Ledger != "" {
		fmt.Fprintf(out, "Ledger   %s\n", CleanLine(v.Ledger))
	}
	for i, key := range v.Keys {
		label := "Key      "
		if i > 0 {
			label = "         "
		}
		fmt.Fprintf(out, "%s%s\n         from %s\n", label, CleanLine(key.ID), CleanLine(key.From))
	}
	v.tenants(out)
	if v.Scope.Key != "" {
		v.checks(out)
	} else if err := v.counts(out); err != nil {
		return err
	}
	v.problems(out)
	v.strangers(out)
	for _, remark := range v.Remarks {
		fmt.Fprintf(out, "\n%s\n", Fill("Note: "+CleanLine(remark), "", "      "))
	}
	v.verdict(out)
	return nil
}

func (v Verification) tenants(out io.Writer) {
	for _, t := range v.Tenants {
		fmt.Fprintf(out, "\nTenant   %s\n", CleanLine(t.ID))
		fmt.Fprintf(out, "         %s: %d archived, %d not collected, %d in quarantine\n",
			plural(t.Manifests, "manifest"), t.Archived, t.NotCollected, t.Quarantined)
		fmt.Fprintf(out, "         chain %s; %s; %s read; %s\n", chain(t.Chain), plural(t.Keys, "key"),
			Bytes(t.Bytes), plural(t.Findings, "finding"))
	}
}

// chain describes how much of a chain was seen and whether that is all of it.
func chain(r verify.Reach) string {
	switch {
	case r.Why != "":
		return "not checked"
	case r.Length == 0:
		return "none"
	case r.Unread > 0:
		return fmt.Sprintf("1 to %d, %d not read", r.Length, r.Unread)
	case !r.Whole:
		return fmt.Sprintf("1 to %d, broken", r.Length)
	case r.Ended && r.Pending > 0:
		return fmt.Sprintf("1 to %d, %d not stored yet", r.Length, r.Pending)
	case r.Ended && r.Elsewhere > 0:
		return fmt.Sprintf("1 to %d, %d in other archives", r.Length, r.Elsewhere)
	case r.Ended:
		return fmt.Sprintf("1 to %d, whole", r.Length)
	default:
		return fmt.Sprintf("1 to %d, end unknown", r.Length)
	}
}

// checks lists the result of every check, for a verification of a single package.
func (v Verification) checks(out io.Writer) {
	for _, s := range v.Subjects {
		fmt.Fprintf(out, "\n%s\n", CleanLine(s.Key))
		for _, r := range s.Results {
			why := ""
			if r.Why != "" {
				why = ": " + CleanLine(r.Why)
			}
			fmt.Fprintf(out, "  %-11s %s%s\n", r.Check, r.Verdict, why)
		}
	}
}

// counts writes how often each check had each result.
func (v Verification) counts(out io.Writer) error {
	const notNeeded verify.Verdict = "not needed"
	tallies := map[verify.Check]map[verify.Verdict]int{}
	var order []verify.Check
	for _, s := range v.Subjects {
		for _, r := range s.Results {
			if tallies[r.Check] == nil {
				tallies[r.Check] = map[verify.Verdict]int{}
				order = append(order, r.Check)
			}
			if r.NotNeeded {
				r.Verdict = notNeeded
			}
			tallies[r.Check][r.Verdict]++
		}
	}
	if len(order) == 0 {
		return nil
	}
	var g Grid
	g.Row("CHECK", "OK", "WRONG", "NOT ESTABLISHED", "NOT CHECKED", "NOT NEEDED")
	for _, check := range order {
		row := []string{string(check)}
		for _, verdict := range []verify.Verdict{verify.VerdictOK, verify.VerdictMismatch, verify.VerdictNotEstablished,
			verify.VerdictNotChecked, notNeeded} {
			row = append(row, strconv.Itoa(tallies[check][verdict]))
		}
		g.Row(row...)
	}
	fmt.Fprintln(out)
	_, err := g.WriteTo(out)
	return err
}

const (
	// problemsShown is how many problems, and how many strangers, are listed. More would scroll the table
	// off the screen; --json lists all.
	problemsShown = 50
	// becauseShown is how many consequences of one problem are listed.
	becauseShown = 8
)

func (v Verification) problems(out io.Writer) {
	for i, p := range v.Problems {
		if i == problemsShown {
			fmt.Fprintf(out, "\n… and %s more: see them all with --json\n", plural(len(v.Problems)-i, "problem"))
			return
		}
		word := "FAIL"
		if p.Unread {
			word = "NOT READ"
		}
		fmt.Fprintf(out, "\n%s\n", Fill(CleanLine(p.Title()), word+"  ", "      "))
		about(out, p.Finding)
		fmt.Fprintf(out, "%s\n", Fill(CleanLine(p.What), fmt.Sprintf("  %-9s ", p.Check), "            "))
		if p.Expected != "" {
			fmt.Fprintf(out, "  expected  %s\n", CleanLine(p.Expected))
		}
		if p.Found != "" {
			fmt.Fprintf(out, "  found     %s\n", CleanLine(p.Found))
		}
		because(out, p)
	}
}

// about writes the host, the case and the key of a finding.
func about(out io.Writer, f verify.Finding) {
	if f.Host != "" {
		text := CleanLine(f.Host)
		if f.Case != "" {
			text += ", case " + CleanLine(f.Case)
		}
		fmt.Fprintf(out, "  host      %s\n", text)
	}
	switch {
	case f.Key != "":
		fmt.Fprintf(out, "  key       %s\n", CleanLine(f.Key))
	case f.TenantID != "":
		fmt.Fprintf(out, "  tenant    %s\n", CleanLine(f.TenantID))
	}
}

// because lists the other findings with the same cause.
func because(out io.Writer, p verify.Problem) {
	label := "  causes    "
	for i, f := range p.Because {
		if i == becauseShown {
			fmt.Fprintf(out, "            … and %d more: see them all with --json\n", len(p.Because)-i)
			return
		}
		fmt.Fprintf(out, "%s\n", Fill(fmt.Sprintf("%s: %s", f.Check, CleanLine(f.What)), label, "            "))
		if f.Key != p.Key && f.Key != "" {
			fmt.Fprintf(out, "            (%s)\n", CleanLine(f.Key))
		}
		label = "            "
	}
}

// strangers lists the objects that Packhorse did not store and that contradict no record.
func (v Verification) strangers(out io.Writer) {
	for i, f := range v.Strangers {
		if i == problemsShown {
			fmt.Fprintf(out, "\n… and %s more: see them all with --json\n", plural(len(v.Strangers)-i, "stranger"))
			return
		}
		fmt.Fprintf(out, "\nSTRANGER  %s\n", CleanLine(f.What))
		about(out, f)
		if f.Stranger == nil {
			continue
		}
		if f.Stranger.VersionID != "" {
			fmt.Fprintf(out, "  version   %s\n", CleanLine(f.Stranger.VersionID))
		}
		fmt.Fprintf(out, "  size      %d bytes\n", f.Stranger.Size)
		if f.Stranger.SHA256 != "" {
			fmt.Fprintf(out, "  SHA-256   %s\n", f.Stranger.SHA256)
		}
		if f.Stranger.Note != "" {
			fmt.Fprintf(out, "%s\n", Fill(CleanLine(f.Stranger.Note), "  note      ", "            "))
		}
		known := "not in the record: it appeared later, or was not seen"
		if f.Stranger.Known {
			known = "named in the record"
		}
		fmt.Fprintf(out, "  known     %s\n", known)
	}
}

// verdict writes the overall verdict, as the last paragraph.
func (v Verification) verdict(out io.Writer) {
	took := v.EndedAt.Sub(v.StartedAt).Round(100 * time.Millisecond)
	verdict := v.Verdict()
	text := CleanLine(v.Headline())
	switch verdict {
	case verify.Fail:
		text = plural(len(v.Problems), "problem")
	case verify.Partial:
		text = "what was checked agrees"
		if v.KeyNotTrusted() {
			text = "consistent, key not trusted"
		}
		if checks := v.gapNames(); checks != "" {
			text += "; not checked: " + checks
		}
		if len(v.Problems) > 0 {
			text += "; not everything could be read"
		}
	}
	if len(v.Strangers) > 0 {
		text += "; " + plural(len(v.Strangers), "stranger") + " next to genuine records"
	}
	if verdict != verify.Empty {
		text += fmt.Sprintf("; %s, %s reread in %s", plural(len(v.Subjects), "manifest"), Bytes(v.Bytes),
			took)
	}
	fmt.Fprintf(out, "\n%s\n", Fill(text, string(verdict)+": ", ""))
}

// gapNames lists the checks that were needed but not made, each once.
func (v Verification) gapNames() string {
	var names []string
	for _, g := range v.Gaps {
		if name := string(g.Check); g.Why != verify.WhyKeyNotTrusted && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
