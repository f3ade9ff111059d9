package verify

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
)

// clockSlack is how far a manifest's sealing time may lie before its predecessor's: machines' clocks do
// not agree to the second.
const clockSlack = 5 * time.Minute

// chainFindings returns what is wrong with a tenant's chain, and its length.
func chainFindings(links []link) (findings []Finding, length int64) {
	slices.SortStableFunc(links, func(a, b link) int {
		if a.sequence == b.sequence && a.signed != b.signed {
			if a.signed {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.sequence, b.sequence), cmp.Compare(a.key, b.key))
	})
	mismatch := func(l link, f Finding) {
		f.Key, f.id, f.Host, f.Case = l.key, l.id, l.host, l.caseID
		findings = append(findings, f)
	}
	var last link // the one accepted for the last sequence number
	for _, l := range links {
		switch {
		case l.sequence == last.sequence:
			mismatch(l, Finding{
				Check: CheckChain, What: fmt.Sprintf("the sequence number %d is used twice", l.sequence),
				Expected: "one manifest with it", Found: "also " + last.key,
			})
			continue
		case l.sequence != last.sequence+1:
			mismatch(l, Finding{
				Check: CheckChain, What: "manifests are missing before this one",
				Expected: numbers(last.sequence+1, l.sequence-1), Found: after(l.sequence, last.sequence),
				gap: numbered{last.sequence + 1, l.sequence - 1},
			})
		case l.previous != last.digest && (l.previous != "" || l.sequence == 1):
			mismatch(l, Finding{
				Check: CheckChain, What: fmt.Sprintf("its predecessor, number %d (%s), is a different manifest",
					last.sequence, cmp.Or(last.key, "none")),
				Expected: cmp.Or(l.previous, "none"), Found: last.digest, from: last.key,
			})
		}
		if !l.sealedAt.IsZero() && l.sealedAt.Before(last.sealedAt.Add(-clockSlack)) {
			mismatch(l, Finding{
				Check: CheckClock, What: fmt.Sprintf("it was sealed before its predecessor, %s", last.key),
				Expected: "no earlier than " + instant(last.sealedAt), Found: instant(l.sealedAt),
			})
		}
		last = l
	}
	return findings, last.sequence
}

func instant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func after(sequence, last int64) string {
	if last == 0 {
		return fmt.Sprintf("number %d as the first", sequence)
	}
	return fmt.Sprintf("number %d after %d", sequence, last)
}

func numbers(from, to int64) string {
	if from == to {
		return fmt.Sprintf("a manifest with number %d", from)
	}
	return fmt.Sprintf("manifests with numbers %d to %d", from, to)
}

// tenantsOf checks each tenant: its chain, and that the archive has every manifest that the ledger has
// sealed.
func (v *Verifier) tenantsOf(ctx context.Context, scope Scope, sum *Summary, found func(Finding)) error {
	byTenant := map[string][]*Subject{}
	for _, id := range v.ledger.tenantIDs() {
		byTenant[id] = nil
	}
	for i := range sum.Subjects {
		s := &sum.Subjects[i]
		byTenant[s.TenantID] = append(byTenant[s.TenantID], s)
	}
	for _, id := range slices.Sorted(maps.Keys(byTenant)) {
		t := count(id, byTenant[id])
		findings, reach, err := v.tenant(ctx, scope, id, byTenant[id])
		if err != nil {
			return err
		}
		t.Chain = reach
		for _, f := range findings {
			f.TenantID = id
			found(f)
		}
		if t.Manifests > 0 || len(findings) > 0 || reach.Length > 0 {
			sum.Tenants = append(sum.Tenants, t)
		}
	}
	return nil
}

func count(id string, subjects []*Subject) Tenant {
	t := Tenant{ID: id}
	keys := map[string]bool{}
	for _, s := range subjects {
		t.Bytes += s.Bytes
		if s.there {
			t.Manifests++
		}
		if !s.read {
			continue
		}
		keys[s.Manifest.Signature.KeyID] = true
		switch s.Manifest.Outcome {
		case manifest.OutcomeArchived:
			t.Archived++
		case manifest.OutcomeNotCollected:
			t.NotCollected++
		case manifest.OutcomeQuarantined:
			t.Quarantined++
		}
	}
	t.Keys = len(keys)
	return t
}

// tenant compares one tenant with the ledger as it was before the listing and, if they disagree, as it was
// after.
func (v *Verifier) tenant(ctx context.Context, scope Scope, id string, subjects []*Subject) (
	findings []Finding, reach Reach, err error,
) {
	if v.ledger == nil {
		findings, reach = v.tenantChain(scope, subjects, nil, nil)
		return findings, reach, nil
	}
	then, err := v.ledger.at(ctx, v.ledger.then, id)
	if err != nil {
		return nil, Reach{}, err
	}
	findings, reach = v.tenantChain(scope, subjects, then, then)
	if len(findings) == 0 {
		return nil, reach, nil
	}
	late, err := v.ledger.after(ctx, id)
	if err != nil {
		return nil, Reach{}, err
	}
	findings, reach = v.tenantChain(scope, subjects, then, late)
	return findings, reach, nil
}

// tenantChain checks a tenant's chain. Every action that the ledger called done before the listing must be
// in it; manifests sealed later are pending.
func (v *Verifier) tenantChain(scope Scope, subjects []*Subject, then, now *snapshot) ([]Finding, Reach) {
	links, there, unknown := linksOf(subjects)
	var findings []Finding
	var reach Reach
	if now != nil {
		for _, rec := range now.records {
			missing, others := v.missingOf(scope, rec, then.records[rec.ActionID], there)
			findings = append(findings, missing...)
			links = append(links, others...)
			for _, l := range others {
				if l.absent {
					reach.Elsewhere++
				} else {
					reach.Pending++
				}
			}
		}
		slices.SortFunc(findings, func(a, b Finding) int { return cmp.Compare(a.Key, b.Key) })
		if now.strange != nil {
			findings = append(findings, Finding{
				Check: CheckLedger, What: "the ledger contains an invalid record", Found: now.strange.Error(),
			})
		}
	}
	if scope.Key != "" {
		reach.Why = "a single manifest cannot show a gap: verify its tenant, or everything"
		return findings, reach
	}
	broken, length := chainFindings(links)
	reach.Length, reach.Whole = length, len(broken) == 0
	if now != nil {
		if f, ok := headFinding(now.head, links, length); !ok {
			broken = append(broken, f)
		} else {
			reach.Ended = true
		}
	}
	excuse(broken, unknown)
	for _, s := range subjects {
		if s.unread(CheckManifest) {
			reach.Unread++
		}
	}
	return append(findings, broken...), reach
}

// missingOf reports the manifests that the ledger has sealed and that should be in the archive but are not.
// It returns the rest as links: manifests that are pending because they may still be on their way, and
// those in another archive of the tenant. Two stacks on one ledger share a chain but not a bucket.
func (v *Verifier) missingOf(scope Scope, rec, before investigation.Record, there map[string]bool) (
	missing []Finding, others []link,
) {
	if rec.State == investigation.StateDone && !rec.IsSealed() && scope.Key == "" {
		missing = append(missing, Finding{
			Key: rec.ManifestKey, Check: CheckLedger, id: rec.ID,
			Host: cmp.Or(rec.ComputerDNSName, rec.MachineID), Case: rec.CaseID,
			What: fmt.Sprintf("the ledger says action %s is done but has not sealed a manifest for it", rec.ActionID),
		})
	}
	for _, sealed := range seals(rec) {
		asked, isKey := investigation.ParseKey(scope.Key)
		belongs, _ := investigation.ParseKey(sealed.key)
		if there[sealed.key] || there[sealed.seal.Digest] || isKey && asked.Stem() != belongs.Stem() {
			continue
		}
		if in := sealed.seal.Bucket; in != "" && v.about.Bucket != "" && in != v.about.Bucket {
			others = append(others, link{
				key: sealed.key, sequence: sealed.seal.Sequence, digest: sealed.seal.Digest, signed: true,
				absent: true,
			})
			continue
		}
		if before.State == investigation.StateDone {
			missing = append(missing, Finding{
				Key: sealed.key, Check: CheckLedger, Headline: headlineMissing,
				gap: numbered{sealed.seal.Sequence, sealed.seal.Sequence}, id: rec.ID,
				Host: cmp.Or(rec.ComputerDNSName, rec.MachineID), Case: rec.CaseID,
				What: "the ledger has sealed this manifest, but it is not in the archive",
				Expected: fmt.Sprintf("number %d, SHA-256 %s", sealed.seal.Sequence,
					sealed.seal.Digest),
			})
			continue
		}
		l := link{
			key: sealed.key, sequence: sealed.seal.Sequence, digest: sealed.seal.Digest, signed: true,
			pending: true,
		}
		if m, err := manifest.Parse([]byte(sealed.seal.Manifest)); err == nil {
			l.previous, l.sealedAt = m.Chain.Previous, m.Custody.SealedAt
		}
		others = append(others, l)
	}
	return missing, others
}

// headFinding compares the end of the chain with the ledger's.
func headFinding(head investigation.Head, links []link, length int64) (Finding, bool) {
	digest, last := "", ""
	for _, l := range links {
		if l.sequence == length && (digest == "" || l.digest == head.Digest) {
			digest, last = l.digest, l.key
		}
	}
	if head.Sequence == length && head.Digest == digest {
		return Finding{}, true
	}
	f := Finding{
		Check: CheckChain, Expected: fmt.Sprintf("number %d, SHA-256 %s", head.Sequence, head.Digest),
		Found: fmt.Sprintf("number %d, SHA-256 %s", length, cmp.Or(digest, "none")),
	}
	switch {
	case head.Sequence > length:
		f.What = "manifests are missing at the end: the ledger's chain is longer"
		f.gap = numbered{length + 1, head.Sequence}
	case head.Sequence < length:
		f.What = "the archive has more manifests than the ledger ever sealed"
	default:
		f.What = "the last manifest is not the one that the ledger sealed last"
		f.from = last
	}
	return f, false
}
