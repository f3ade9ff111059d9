//go:build cloud

package cloudtest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"packhorse/internal/mde/mdesim"
)

// seed makes the tenant's packages the same in every run.
const seed = 20260304

// tenant is a simulated tenant with packages of several sizes and an action that fails.
type tenant struct {
	*mdesim.Simulator

	t      *testing.T
	server *mdesim.Server // it may serve other tenants, too
	config mdesim.Config
	secret string
	number int             // tells the actions of several tenants apart
	ready  []mdesim.Action // actions whose packages should be archived
	failed mdesim.Action
}

func openTenant(t *testing.T) *tenant {
	t.Helper()
	s := startTenant(t, mdesim.Defaults())
	s.addReady(700<<10, 30<<20, 3<<20, 12<<20)
	s.failed = s.ready[0]
	s.failed.ID, s.failed.MachineID = mdesim.IDOf("failed", seed), mdesim.MachineOf("failed", seed)
	s.failed.Steps = mdesim.Ending(10*time.Minute, "Failed")
	for _, a := range append(mdesim.OtherActions(seed, time.Now()), s.failed) {
		s.Add(a)
	}
	return s
}

// openMovingTenant has another directory and app, which can trust what v vouches for. Nothing is ready yet.
func openMovingTenant(t *testing.T, v *vouching) *tenant {
	t.Helper()
	config := mdesim.Defaults()
	config.TenantID, config.ClientID = mdesim.IDOf("tenant", seed), mdesim.IDOf("app", seed)
	config.ClientSecret = "moved~Secret.Value-9876543210"
	config.Keys = v.Issuer.Keys
	return startTenant(t, config)
}

func startTenant(t *testing.T, config mdesim.Config) *tenant {
	t.Helper()
	server, err := mdesim.Start(t.Context(), config, time.Now, "127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return &tenant{Simulator: server.Simulator, t: t, server: server, secret: config.ClientSecret, config: config}
}

// addReady adds actions with packages of these sizes, which are ready.
func (s *tenant) addReady(sizes ...int64) {
	now := time.Now()
	for _, size := range sizes {
		s.addAction(size, now.Add(-time.Hour).Add(time.Duration(len(s.ready))*time.Second), 10*time.Minute)
	}
}

// addAction adds an action whose package is ready some time after its creation.
func (s *tenant) addAction(size int64, created time.Time, after time.Duration) {
	i := len(s.ready)
	action := mdesim.Action{
		ID: mdesim.IDOf("action", seed, s.number, i), MachineID: mdesim.MachineOf("machine", seed, s.number, i),
		ComputerDNSName: fmt.Sprintf("fin-ws-%02d.contoso.com", i), Requestor: "a@contoso.com", Comment: "why",
		CreatedAt: created, Steps: mdesim.Succeeding(after), PackageSize: size, PackageSeed: seed + uint64(i),
	}
	s.ready = append(s.ready, action)
	s.Add(action)
}

// parameters are the stack's for this tenant.
func (s *tenant) parameters() []string {
	return append(s.hosts(), "DefenderTenantId="+s.config.TenantID)
}

// hosts are the parameters for every tenant with this app on the server.
func (s *tenant) hosts() []string {
	return []string{
		"DefenderClientId=" + s.config.ClientID,
		"DefenderApiUrl=" + s.server.APIURL, "DefenderAuthorityUrl=" + s.server.APIURL,
		"DefenderLinkHosts=" + s.server.DownloadHost,
		`DefenderCaPem="` + string(s.server.CAPEM) + `"`,
	}
}

// checkBudget asks the simulator's judge: at most two calls in any minute, at any offset, and one
// call for each package.
func (s *tenant) checkBudget() {
	s.t.Helper()
	verdict := s.Judge().Verdict()
	s.t.Logf("%d list calls, %d link calls, at most %d in any 60 s",
		verdict.Calls[mdesim.KindList], verdict.Calls[mdesim.KindPackageURI], verdict.MostInAnyMinute)
	if max(verdict.MostInAnyMinute, verdict.MostInAlignedMin) > 2 || verdict.Throttled != 0 {
		s.t.Errorf("%d link calls in a minute, %d answers 429", verdict.MostInAnyMinute, verdict.Throttled)
	}
	if verdict.Leaks != 0 || len(verdict.BrokenRules) != 0 {
		s.t.Errorf("%d leaks, broken rules: %s", verdict.Leaks, strings.Join(verdict.BrokenRules, "; "))
	}
	if got := verdict.Calls[mdesim.KindPackageURI]; got != len(s.ready) {
		s.t.Errorf("%d link calls for %d packages", got, len(s.ready))
	}
	for _, a := range s.ready {
		if got := verdict.PackageURIByAction[a.ID]; got != 1 {
			s.t.Errorf("action %s: %d link calls", a.ID, got)
		}
	}
}

// served returns the served packages by action.
func (s *tenant) served() map[string]mdesim.Served {
	all := map[string]mdesim.Served{}
	for _, p := range s.Judge().Verdict().Served {
		all[p.ActionID] = p
	}
	return all
}
