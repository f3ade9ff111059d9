package console

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"

	"packhorse/internal/investigation"
	"packhorse/internal/tenant"
)

// Tables writes the summary of a run for people: with a single tenant, that of the tenant; with several, a row per
// action and per tenant that has any, and the totals. All are of the same run. The width is that of [Summary.Table].
func Tables(out io.Writer, width int, all []Summary) error {
	if len(all) == 1 {
		return all[0].Table(out, width)
	}
	return atOnce(out, func(out io.Writer) error { return tables(out, width, all) })
}

func tables(out io.Writer, width int, all []Summary) error {
	if len(all) == 0 {
		fmt.Fprintln(out, "\nNo tenant was served.")
		return nil
	}
	if all[0].Simulated {
		fmt.Fprintf(out, "\n%s\n", simulation)
	}
	labels := labelsOfAll(all)
	actions, tenants := actionRows(all, labels, false), tenantRows(all, labels)
	if width > 0 && !actions.fits(width) {
		actions = actionRows(all, labels, true)
		actions.Width, actions.Shrink = width, []int{1, 2, 3}
	}
	for _, g := range []*Grid{actions, tenants} {
		if len(g.rows) < 2 { // the head
			continue
		}
		fmt.Fprintln(out)
		_, err := g.WriteTo(out)
		if err != nil {
			return err
		}
	}
	if width == 0 {
		fmt.Fprintln(out)
		for _, s := range all {
			s.stored(out)
		}
	}
	total(out, width, all)
	evidenceOf(out, all)
	verdictOf(out, all, labels)
	return nil
}

func labelsOfAll(all []Summary) labels {
	var served []tenant.Served
	for _, s := range all {
		served = append(served, tenant.Served{ID: s.TenantID, Name: s.Name})
	}
	return labelsOf(served)
}

// actionRows returns a row per action, oldest first. Brief rows leave out the domains of hosts and people.
func actionRows(all []Summary, labels labels, brief bool) *Grid {
	var g Grid
	g.Row("TENANT", "HOST", "REQUESTED BY", "RESULT", "SIZE", "ATTEMPTS", "TOOK")
	var records []investigation.Record
	for _, s := range all {
		records = append(records, s.current()...)
	}
	slices.SortStableFunc(records, investigation.ByCreation)
	for _, rec := range records {
		g.Row(append([]string{labels[rec.TenantID]}, actionCells(rec, brief)...)...)
	}
	return &g
}

// tenantRows returns a row per tenant with anything to count.
func tenantRows(all []Summary, labels labels) *Grid {
	var g Grid
	g.Row("TENANT", "ARCHIVED", "NOT COLLECTED", "WAITING", "OPEN", "EARLIER", "MANIFESTS")
	for _, s := range all {
		c := s.counts()
		if c.Archived+c.NotCollected+c.Waiting+c.Open > 0 {
			g.Row(labels[s.TenantID], strconv.Itoa(c.Archived), strconv.Itoa(c.NotCollected), strconv.Itoa(c.Waiting),
				strconv.Itoa(c.Open), strconv.Itoa(c.Earlier), strconv.FormatInt(s.Evidence.Sequence, 10))
		}
	}
	return &g
}

func total(out io.Writer, width int, all []Summary) {
	var sum counts
	for _, s := range all {
		c := s.counts()
		sum.Archived += c.Archived
		sum.NotCollected += c.NotCollected
		sum.Waiting += c.Waiting
		sum.Open += c.Open
		sum.Earlier += c.Earlier
		sum.Bytes += c.Bytes
	}
	took := all[0].EndedAt.Sub(all[0].StartedAt)
	fmt.Fprintf(out, "\n%s\n", Fit(fmt.Sprintf("%s tenants: ", thousands(len(all)))+sum.text(took), width))
}

// evidenceOf says how to prove what was stored. Each tenant has a chain of its own.
func evidenceOf(out io.Writer, all []Summary) {
	chains, e := 0, Evidence{}
	for _, s := range all {
		if s.Evidence.Sequence > 0 {
			chains++
		}
		e = s.Evidence // what follows is the same for all
	}
	if chains == 0 {
		return
	}
	fmt.Fprint(out, "\nEvidence\n")
	fmt.Fprintf(out, "  chains    %d, one a tenant; with --json, run writes the last digest of each\n", chains)
	e.places(out)
}

// verdictOf sums the judgements up. Of the figures that have a limit, it shows the highest of any tenant.
func verdictOf(out io.Writer, all []Summary, labels labels) {
	var sum Judgement
	judged, failed := 0, 0
	for _, s := range all {
		j := s.Judge
		if j == nil {
			continue
		}
		judged++
		if !j.Passed {
			failed++
		}
		sum.PackageURICalls += j.PackageURICalls
		sum.MostInAnyMinute = max(sum.MostInAnyMinute, j.MostInAnyMinute)
		sum.PerMinute = j.PerMinute
		sum.MostPerArchived = max(sum.MostPerArchived, j.MostPerArchived)
		sum.FilesCompared += j.FilesCompared
		sum.FilesDifferent += j.FilesDifferent
		sum.Leaks += j.Leaks
		for _, rule := range j.BrokenRules {
			sum.BrokenRules = append(sum.BrokenRules, cmp.Or(labels.before(s.TenantID), s.TenantID+": ")+rule)
		}
	}
	if judged == 0 {
		return
	}
	if failed > 0 {
		fmt.Fprintf(out, "\nJudge: FAIL in %d of %d tenants\n", failed, judged)
	} else {
		fmt.Fprintf(out, "\nJudge: PASS in all %d tenants\n", judged)
	}
	sum.facts(out)
}
