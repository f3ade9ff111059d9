package checkup

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"packhorse/internal/defender"
	"packhorse/internal/doctor"
	"packhorse/internal/hostlist"
	"packhorse/internal/investigation"
	"packhorse/internal/mde"
	"packhorse/internal/settings"
)

// archived returns when a package was last archived with the app, of the newest.
func (t Tenant) archived(tenantID string, app *defender.App) doctor.Look[time.Time] {
	return func(ctx context.Context) (latest time.Time, err error) {
		if t.Linked != nil {
			linked, err := t.Linked(ctx, app)
			if err != nil || !linked {
				return latest, err
			}
		}
		ledger, err := t.Ledger(ctx)
		if err != nil {
			return latest, err
		}
		some, err := ledger.Find(ctx, investigation.Filter{
			TenantID: tenantID, State: string(investigation.StateArchived), Limit: newestMax,
		})
		for _, rec := range some {
			if rec.ArchivedAt.After(latest) {
				latest = rec.ArchivedAt
			}
		}
		return latest, ignoreBad(err)
	}
}

// newestMax is how many of the newest packages are looked at.
const newestMax = 200

// refused returns the hosts for which packages wait, unless they are allowed by now.
func (t Tenant) refused(s settings.Settings) doctor.Look[doctor.RefusedLinks] {
	return func(ctx context.Context) (doctor.RefusedLinks, error) {
		links := doctor.RefusedLinks{Allowed: s.LinkHosts}
		ledger, err := t.Ledger(ctx)
		if err != nil {
			return links, err
		}
		allowed, err := hostlist.Parse(s.LinkHosts)
		if err != nil {
			return links, fmt.Errorf("read the link hosts: %w", err)
		}
		open, err := ledger.Open(ctx, s.TenantID)
		for _, rec := range open {
			host, ok := mde.RefusedHost(rec.Message)
			if ok && !allowed.Admits(&url.URL{Scheme: "https", Host: host}) && !slices.Contains(links.Hosts, host) {
				links.Hosts = append(links.Hosts, host)
			}
		}
		slices.Sort(links.Hosts)
		return links, ignoreBad(err)
	}
}

// forbidden returns the last open package whose link Defender refused for want of a permission.
func (t Tenant) forbidden(tenantID string) doctor.Look[doctor.Forbidden] {
	return func(ctx context.Context) (last doctor.Forbidden, err error) {
		ledger, err := t.Ledger(ctx)
		if err != nil {
			return last, err
		}
		open, err := ledger.Open(ctx, tenantID)
		for _, rec := range open {
			if rec.Cause == investigation.CauseForbidden && rec.DueAt.After(last.Until) {
				last = doctor.Forbidden{Action: rec.ActionID, Message: rec.Message, Until: rec.DueAt}
			}
		}
		return last, ignoreBad(err)
	}
}

// ignoreBad ignores malformed records, which packhorse run reports.
func ignoreBad(err error) error {
	if errors.Is(err, investigation.ErrBadRecord) {
		return nil
	}
	return err
}
