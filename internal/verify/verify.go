// Package verify compares an archive with its manifests, their signatures, the chain they form, and
// the ledger, and reports everything that does not agree.
//
// [New] takes the things to compare, and [Verifier.Run] compares them. It checks everything, no matter
// how many findings it makes, and never unpacks, changes or creates anything. The contents of an archive
// are untrusted: clean the texts of a [Finding] before a terminal shows them.
//
// The package does not know how the ledger is kept: see [Ledger].
package verify

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
)

// Ledger gives the records that the archive is compared with.
type Ledger interface {
	// Head returns the end of the tenant's chain; the zero Head means an empty chain. An error that
	// wraps investigation.ErrBadRecord means that the stored head is invalid.
	Head(ctx context.Context, tenantID string) (investigation.Head, error)
	// Records returns every record of the tenant. An error that wraps investigation.ErrBadRecord means
	// that some records are invalid; the valid ones are returned along with it.
	Records(ctx context.Context, tenantID string) ([]investigation.Record, error)
}

// TenantsLedger is a Ledger that can list its tenants. With any other Ledger, only the tenants found in
// the archive or named by the scope are compared.
type TenantsLedger interface {
	Ledger
	Tenants(ctx context.Context) ([]string, error)
}

// Reporter follows a verification. Its methods are called from several goroutines at once.
type Reporter interface {
	// Begin is called once, when the amount of data to read is known.
	Begin(manifests int, bytes int64)
	// Reading is called before the bytes of an object are read. It returns a reader of the same
	// bytes.
	Reading(key string, size int64, body io.Reader) io.Reader
	// Checked is called after a manifest was checked, with the findings so far.
	Checked(s Subject)
	// Found is called for every finding.
	Found(f Finding)
}

// Scope limits a verification. The zero Scope verifies everything.
type Scope struct {
	Key      string // only this object or manifest
	TenantID string // only this tenant
}

// Verifier runs one verification. It cannot be reused.
type Verifier struct {
	archive  Archive
	trust    Trust
	ledger   *records // nil without a ledger
	now      func() time.Time
	reporter Reporter

	about  About
	bodies map[string]manifest.Manifest // by the SHA-256 of the object each one vouches for
}

// New returns a Verifier. ledger can be nil. If trust comes from [TrustArchive], the summary says so.
func New(archive Archive, trust Trust, ledger Ledger, now func() time.Time, reporter Reporter,
) *Verifier {
	v := &Verifier{archive: archive, trust: trust, now: now, reporter: reporter}
	if ledger != nil {
		v.ledger = newRecords(ledger)
	}
	return v
}

// workersMax limits how many objects are read at once. More would not be faster: the workers share a
// disk or a network, and each SHA-256 takes a core.
const workersMax = 4

// Workers returns how many objects are read at once.
func Workers() int { return min(workersMax, runtime.NumCPU()) }

// Run verifies. Its error is not about the evidence: it means that something could not be read at all or
// that the context ended. Problems with the evidence are in the summary's findings.
func (v *Verifier) Run(ctx context.Context, scope Scope) (Summary, error) {
	sum := Summary{Scope: scope, StartedAt: v.now(), Ledger: v.ledger != nil, Keys: v.trust.list(),
		KeysCame: v.trust.came}
	var err error
	v.about, err = v.archive.About(ctx)
	if err != nil {
		return Summary{}, err
	}
	sum.Where = v.about.Where

	// Read the ledger first: a listing that begins later must contain everything that is done by now.
	tenants, err := v.tenants(ctx, scope)
	if err != nil {
		return Summary{}, err
	}
	err = v.ledger.before(ctx, tenants)
	if err != nil {
		return Summary{}, err
	}
	objects, err := v.list(ctx, scope)
	if err != nil {
		return Summary{}, err
	}
	inv := sortOut(objects, scope)
	sum.Others, sum.Present = inv.others, inv.present
	err = v.ledger.before(ctx, inv.tenants())
	if err != nil {
		return Summary{}, err
	}

	v.reporter.Begin(len(inv.families), inv.bytes())
	all, err := v.resolveAll(ctx, inv)
	if err != nil {
		return Summary{}, err
	}
	sum.Subjects, err = v.subjects(ctx, inv, all)
	if err != nil {
		return Summary{}, err
	}
	err = v.whole(ctx, scope, inv, all, &sum)
	if err != nil {
		return Summary{}, err
	}
	sum.EndedAt = v.now()
	return sum, nil
}

// tenants returns the tenants to ask the ledger about even if the archive has none of their objects.
func (v *Verifier) tenants(ctx context.Context, scope Scope) ([]string, error) {
	if v.ledger == nil {
		return nil, nil
	}
	if scope.TenantID != "" {
		return []string{scope.TenantID}, nil
	}
	if n, ok := investigation.ParseKey(scope.Key); ok {
		return []string{n.TenantID}, nil
	}
	if all, ok := v.ledger.ledger.(TenantsLedger); ok {
		ids, err := all.Tenants(ctx)
		if err != nil {
			return nil, fmt.Errorf("list the tenants of the ledger: %w", err)
		}
		return ids, nil
	}
	return nil, nil
}

// list returns the objects that may concern the scope.
func (v *Verifier) list(ctx context.Context, scope Scope) ([]Object, error) {
	n, ok := investigation.ParseKey(scope.Key)
	if !ok {
		return v.archive.List(ctx, "")
	}
	prefixes := map[string]bool{}
	for _, folder := range []string{n.Folder, defaultPrefix, investigation.NotCollectedFolder,
		investigation.QuarantineFolder} {
		prefixes[folder+n.Tail] = true
	}
	var objects []Object
	for prefix := range prefixes {
		some, err := v.archive.List(ctx, prefix)
		if err != nil {
			return nil, err
		}
		objects = append(objects, some...)
	}
	slices.SortFunc(objects, func(a, b Object) int { return strings.Compare(a.Key, b.Key) })
	return objects, nil
}

// each calls do for the numbers from 0 to n-1, several at once, until the context ends.
func (v *Verifier) each(ctx context.Context, n int, do func(i int)) error {
	next := make(chan int)
	var workers sync.WaitGroup
	for range Workers() {
		workers.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	workers.Wait()
	if ctx.Err() != nil {
		return fmt.Errorf("verify %s: %w", v.about.Where, context.Cause(ctx))
	}
	return nil
}

// subjects checks every unit, several at once.
func (v *Verifier) subjects(ctx context.Context, inv inventory, all []*resolved) ([]Subject, error) {
	type job struct {
		of   *resolved
		unit unit
	}
	var jobs []job
	for _, r := range all {
		for _, u := range r.units {
			jobs = append(jobs, job{r, u})
		}
	}
	subjects := make([]Subject, len(jobs))
	err := v.each(ctx, len(jobs), func(i int) {
		subjects[i] = v.subject(ctx, inv, jobs[i].of, jobs[i].unit)
		for _, f := range subjects[i].Findings {
			v.reporter.Found(f)
		}
		v.reporter.Checked(subjects[i])
	})
	if err != nil {
		return nil, err
	}
	return subjects, nil
}

// whole makes the checks that need more than one manifest, and fills in the summary.
func (v *Verifier) whole(ctx context.Context, scope Scope, inv inventory, all []*resolved,
	sum *Summary,
) error {
	var rest []Finding
	found := func(f Finding) {
		rest = append(rest, f)
		v.reporter.Found(f)
	}
	v.quarantines(sum.Subjects, func(s *Subject, f Finding) {
		s.mismatch(f)
		v.reporter.Found(s.Findings[len(s.Findings)-1])
	})
	for _, s := range sum.Subjects {
		sum.Findings = append(sum.Findings, s.Findings...)
		sum.Bytes += s.Bytes
	}
	for _, f := range byKey(append(v.strange(ctx, all, sum.Subjects), inv.unknown()...)) {
		found(f)
	}
	if scope.Key == "" {
		_, findings, err := TrustArchive(ctx, v.archive)
		if err != nil {
			return err
		}
		for _, f := range findings {
			found(f)
		}
	}
	err := v.tenantsOf(ctx, scope, sum, found)
	sum.Findings = append(sum.Findings, rest...)
	for i := range sum.Tenants {
		for _, f := range sum.Findings {
			if f.TenantID == sum.Tenants[i].ID && f.Kind != KindStranger {
				sum.Tenants[i].Findings++
			}
		}
	}
	for _, f := range sum.Findings {
		if f.Kind == KindStranger {
			sum.Strangers = append(sum.Strangers, f)
		}
	}
	sum.Problems = fold(sum.Findings, sum.Subjects)
	sum.gaps()
	v.remarks(sum)
	return err
}
