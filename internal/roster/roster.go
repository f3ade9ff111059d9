// Package roster says which tenants a program serves, and with which settings: the tenant of its variables, which
// needs no entry in the registry, and every active tenant of the registry. If the registry has an entry for the
// program's own tenant, the variables count and the entry is ignored.
package roster

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"packhorse/internal/settings"
	"packhorse/internal/tenant"
)

// Registry is the part of a registry that a Roster reads. The errors of both wrap tenant.ErrInvalid if an entry is
// malformed; List returns the others beside it.
type Registry interface {
	List(ctx context.Context) ([]tenant.Tenant, error)
	Get(ctx context.Context, id string) (tenant.Tenant, error)
}

// Member is a tenant that is served.
type Member struct {
	Settings settings.Settings
	Name     string // empty for the program's own tenant
	Version  string // another one means other settings; empty for the program's own tenant
}

// UnknownError reports a tenant that is not registered.
type UnknownError struct{ ID string }

func (e *UnknownError) Error() string { return fmt.Sprintf("tenant %.64q is not registered", e.ID) }

// Advice says how to register it.
func (e *UnknownError) Advice() string { return "packhorse tenant add --help shows how to register it" }

// SuspendedError reports a tenant that is left alone.
type SuspendedError struct{ ID, Name string }

func (e *SuspendedError) Error() string {
	return fmt.Sprintf("tenant %s (%s) is suspended", e.ID, e.Name)
}

// Advice says how to resume it.
func (e *SuspendedError) Advice() string { return "packhorse tenant resume " + e.ID + " resumes it" }

// Roster is safe for concurrent use.
type Roster struct {
	base     settings.Base
	own      *Member // nil without one
	ownID    string
	registry Registry // nil without one

	mu     sync.Mutex        // guards parsed
	parsed map[string]Member // by id, as of the last All; saves parsing entries that did not change
}

// New returns the roster of a program. The registry may be nil. The error is a *settings.Error about the variables.
func New(base settings.Base, registry Registry) (*Roster, error) {
	r := &Roster{base: base, registry: registry, ownID: base.OwnID(), parsed: map[string]Member{}}
	if r.ownID == "" && registry != nil {
		return r, nil
	}
	s, err := base.Own()
	if err != nil {
		return nil, err
	}
	r.own = &Member{Settings: s}
	return r, nil
}

// All returns every tenant that is served, the program's own one first. It reads the registry each time. Tenants whose
// entries cannot be used are named in the error, which then wraps tenant.ErrInvalid; all others are returned beside
// it. If the registry cannot be read, that is the program's own tenant alone.
func (r *Roster) All(ctx context.Context) ([]Member, error) {
	var all []Member
	if r.own != nil {
		all = append(all, *r.own)
	}
	if r.registry == nil {
		return all, nil
	}
	entries, err := r.registry.List(ctx)
	if err != nil && !errors.Is(err, tenant.ErrInvalid) {
		return all, err
	}
	bad := []error{err}
	r.mu.Lock()
	defer r.mu.Unlock()
	parsed := map[string]Member{}
	for _, entry := range entries {
		if entry.ID == r.ownID || entry.State != tenant.Active {
			continue
		}
		member, known := r.parsed[entry.ID]
		if !known || member.Version != entry.Version {
			member, err = r.member(entry)
			if err != nil {
				bad = append(bad, err)
				continue
			}
		}
		parsed[entry.ID] = member
		all = append(all, member)
	}
	r.parsed = parsed
	return all, errors.Join(bad...)
}

// Get returns a tenant that is served; it reads the registry each time. The error is an *[UnknownError], a
// *[SuspendedError], wraps tenant.ErrInvalid, or says that the registry cannot be read.
func (r *Roster) Get(ctx context.Context, id string) (Member, error) {
	switch {
	case r.own != nil && id == r.ownID:
		return *r.own, nil
	case r.registry == nil:
		return Member{}, &UnknownError{id}
	}
	entry, err := r.registry.Get(ctx, id)
	switch {
	case err != nil:
		return Member{}, err
	case entry.ID == "":
		return Member{}, &UnknownError{id}
	case entry.State != tenant.Active:
		return Member{}, &SuspendedError{entry.ID, entry.Name}
	default:
		return r.member(entry)
	}
}

func (r *Roster) member(entry tenant.Tenant) (Member, error) {
	s, err := r.base.Of(entry)
	if err != nil {
		return Member{}, err
	}
	return Member{Settings: s, Name: entry.Name, Version: entry.Version}, nil
}
