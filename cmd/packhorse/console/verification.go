package console

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"packhorse/cmd/packhorse/verify"
)

// Verification is a [verify.Summary] as a person reads it.
type Verification struct {
	verify.Summary
	Ledger string // where it is; empty: there is none
}

// Table writes what was verified and what it came to.
func (v Verification) Table(out io.Writer) error {
	fmt.Fprintf(out, "\nArchive  %s\n", CleanLine(v.Where))
	if v.Ledger != "" {
		fmt.Fprintf(out, "Ledger   %s\n", CleanLine(v.Ledger))
	}
	for i, key := range v.Keys {
		label := "Key      "
		if i > 0 {
			label = "         "
		}
		fmt.Fprintf(out, "%s%s  (%s)\n", label, key.ID, CleanLine(key.From))
	}
	fmt.Fprintln(out)
	err := v.tenants(out)
	if err != nil {
		return err
	}
	if v.Scope.Key != "" {
		v.checks(out)
	} else if err := v.counts(out); err != nil {
		return err
	}
	v.findings(out)
	for _, remark := range v.Remarks {
		fmt.Fprintf(out, "\n%s\n", Fill("Note: "+CleanLine(remark), "", "      "))
	}
	v.verdict(out)
	return nil
}

func (v Verification) tenants(out io.Writer) error {
	if len(v.Tenants) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "TENANT\tMANIFESTS\tARCHIVED\tNOT COLLECTED\tQUARANTINED\tREAD\tCHAIN\tKEYS\tFINDINGS\n")
	for _, t := range v.Tenants {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%s\t%s\t%d\t%d\n", Clean(t.ID), t.Manifests, t.Archived,
			t.NotCollected, t.Quarantined, Bytes(t.Bytes), chain(t.Chain), t.Keys, t.Findings)
	}
	return w.Flush()
}

// chain says how much of a chain was seen, and whether that is all.
func chain(r verify.Reach) string {
	switch {
	case r.Why != "":
		return "not checked"
	case r.Length == 0:
		return "none"
	case !r.Whole:
		return fmt.Sprintf("1 to %d, broken", r.Length)
	case r.Ended && r.Pending > 0:
		return fmt.Sprintf("1 to %d, %d still to be stored", r.Length, r.Pending)
	case r.Ended && r.Elsewhere > 0:
		return fmt.Sprintf("1 to %d, %d in other archives", r.Length, r.Elsewhere)
	case r.Ended:
		return fmt.Sprintf("1 to %d, whole", r.Length)
	default:
		return fmt.Sprintf("1 to %d, end unknown", r.Length)
	}
}

// checks lists the checks of a single manifest, and of what belongs to it.
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

// counts says how often each check was made, and why not.
func (v Verification) counts(out io.Writer) error {
	type tally struct {
		verdicts map[verify.Verdict]int
		whys     map[string]int
	}
	tallies := map[verify.Check]*tally{}
	var order []verify.Check
	for _, s := range v.Subjects {
		for _, r := range s.Results {
			t := tallies[r.Check]
			if t == nil {
				t = &tally{map[verify.Verdict]int{}, map[string]int{}}
				tallies[r.Check] = t
				order = append(order, r.Check)
			}
			t.verdicts[r.Verdict]++
			if r.Why != "" {
				t.whys[r.Why]++
			}
		}
	}
	if len(order) == 0 {
		return nil
	}
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "CHECK\tOK\tWRONG\tNOT CHECKED\n")
	for _, check := range order {
		t := tallies[check]
		skipped := fmt.Sprint(t.verdicts[verify.VerdictNotChecked])
		whys := slices.SortedFunc(maps.Keys(t.whys), func(a, b string) int {
			return cmp.Or(cmp.Compare(t.whys[b], t.whys[a]), cmp.Compare(a, b)) // the most frequent first
		})
		if len(whys) > 0 {
			skipped += "  " + CleanLine(whys[0])
		}
		if len(whys) > 1 {
			skipped += fmt.Sprintf("; and %s", plural(len(whys)-1, "other reason"))
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\n", check, t.verdicts[verify.VerdictOK], t.verdicts[verify.VerdictLie],
			skipped)
	}
	return w.Flush()
}

// findingsShown is how many findings are listed. More would scroll the table away; --json has all.
const findingsShown = 100

func (v Verification) findings(out io.Writer) {
	for i, f := range v.Findings {
		if i == findingsShown {
			fmt.Fprintf(out, "\n… and %d more: see them all with --json\n", len(v.Findings)-i)
			return
		}
		name := f.Key
		if name == "" {
			name = "tenant " + f.TenantID
		}
		word := "LIE"
		if f.Unread {
			word = "NOT READ"
		}
		fmt.Fprintf(out, "\n%s  %s\n", word, CleanLine(name))
		fmt.Fprintf(out, "  %s: %s\n", f.Check, CleanLine(f.What))
		if f.Expected != "" {
			fmt.Fprintf(out, "    expected  %s\n", CleanLine(f.Expected))
		}
		if f.Found != "" {
			fmt.Fprintf(out, "    found     %s\n", CleanLine(f.Found))
		}
	}
}

func (v Verification) verdict(out io.Writer) {
	took := v.EndedAt.Sub(v.StartedAt).Round(100 * time.Millisecond)
	manifests := plural(len(v.Subjects), "manifest")
	if len(v.Findings) == 0 {
		fmt.Fprintf(out, "\nAll true: %s, %s read again, in %s\n", manifests, Bytes(v.Bytes), took)
		return
	}
	fmt.Fprintf(out, "\nNOT ALL TRUE: %s; %s, %s read again, in %s\n",
		plural(len(v.Findings), "finding"), manifests, Bytes(v.Bytes), took)
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
