package mdesim

import (
	"net/http"
	"strings"
	"sync"
)

// site serves several tenants on the same hosts, as Microsoft does: the path of a token request names the tenant, and
// otherwise the token or the link does. What belongs to no tenant is the first one's.
type site struct {
	mu      sync.RWMutex // guards tenants
	tenants []resident
}

// resident is a tenant of a site with its handlers.
type resident struct {
	*Simulator
	api, downloads http.Handler
}

func (s *site) add(sim *Simulator) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tenants = append(s.tenants, resident{sim, sim.API(), sim.Downloads()})
}

// first returns the first tenant for which is returns true, or the first of all.
func (s *site) first(is func(*Simulator) bool) resident {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, tenant := range s.tenants {
		if is(tenant.Simulator) {
			return tenant
		}
	}
	return s.tenants[0]
}

func (s *site) serveAPI(w http.ResponseWriter, r *http.Request) {
	name, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	tenant := s.first(func(sim *Simulator) bool { return sim.knowsTenant(name) || sim.issued(token) })
	s.checkOwn(tenant, r.URL.Path)
	tenant.api.ServeHTTP(w, r)
}

// checkOwn records a broken rule if a call with the token of one tenant names an action of another.
func (s *site) checkOwn(tenant resident, path string) {
	_, rest, ok := strings.Cut(path, "/machineactions/")
	if !ok {
		return
	}
	id, _, _ := strings.Cut(rest, "/")
	if owner := s.first(func(sim *Simulator) bool { return sim.has(id) }); !tenant.has(id) && owner.has(id) {
		tenant.judge.broke("action %s of tenant %s was asked for with the token of %s", id, owner.config.TenantID,
			tenant.config.TenantID)
	}
}

func (s *site) serveDownload(w http.ResponseWriter, r *http.Request) {
	text := r.URL.Query().Get(tokenParam)
	s.first(func(sim *Simulator) bool { return sim.linked(text) }).downloads.ServeHTTP(w, r)
}

// issued reports whether the tenant's Entra ID issued the token.
func (s *Simulator) issued(token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, known := s.tokens[token]
	return known
}

// linked reports whether a link with this token leads to a package of the tenant.
func (s *Simulator) linked(token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, known := s.links[token]
	return known
}

// has reports whether the tenant has the action.
func (s *Simulator) has(actionID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.find(actionID) != nil
}

// Join adds a tenant to the server, with the same app registration and limits. It has a judge and switches of its own.
func (s *Server) Join(tenantID string) *Simulator {
	config := s.config
	config.TenantID = tenantID
	joined := New(config, s.now)
	s.site.add(joined)
	return joined
}
