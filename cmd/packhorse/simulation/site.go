// Package simulation runs simulated Defender tenants in this process. Resume serves a run in the same
// process and can judge it afterwards; Serve serves clients in other processes.
package simulation

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"packhorse/internal/mde/mdesim"
	"packhorse/internal/tenant"
)

// Site is the simulated Defender of a plan's tenants, served in this process. It MUST be closed.
type Site struct {
	plan     Plan
	server   *mdesim.Server
	tenants  map[string]*mdesim.Simulator // by id
	identity identity
}

// Resume serves the tenants of the plan file in the data folder while some of their actions are not done.
// Otherwise it writes the plan next, which starts now. If the seed of next is 0, it gets a random one. The app's
// credential is of the given kind.
func Resume(ctx context.Context, folder string, kind tenant.Kind, next Plan, ledger Ledger) (*Site, error) {
	plan, err := resume(ctx, filepath.Join(folder, PlanFile), next, ledger)
	if err != nil {
		return nil, err
	}
	return Serve(ctx, "127.0.0.1:0", "127.0.0.1:0", plan, kind, filepath.Join(folder, CertificateFile))
}

// Serve serves the plan's tenants: the API with its token endpoint on one address, the download host on
// the other. One app is registered in all of them. If its credential is a certificate, Serve stores it in the file.
func Serve(ctx context.Context, api, download string, plan Plan, kind tenant.Kind, file string) (_ *Site, err error) {
	identity, err := newIdentity(ctx, kind, file)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, identity.close())
		}
	}()
	config := mdesim.Defaults()
	config.Keys = identity.keys
	server, err := mdesim.Start(ctx, config, time.Now, api, download)
	if err != nil {
		return nil, err
	}
	site := &Site{plan: plan, server: server, tenants: map[string]*mdesim.Simulator{}, identity: identity}
	for i, tenant := range plan.tenants() {
		sim := server.Simulator
		if i > 0 {
			sim = server.Join(tenant.id)
		}
		err = sim.SetRegistration(identity.registration)
		if err != nil {
			return nil, errors.Join(err, server.Close())
		}
		for _, a := range append(tenant.actions, mdesim.OtherActions(tenant.seed, plan.StartedAt)...) {
			sim.Add(a)
		}
		site.tenants[tenant.id] = sim
	}
	return site, nil
}

// Close stops serving.
func (s *Site) Close() error { return errors.Join(s.server.Close(), s.identity.close()) }

// STSURL returns the URL of the STS that vouches for the app, or an empty string if the credential is of
// another kind.
func (s *Site) STSURL() string { return s.identity.stsURL }

// APIURL returns the URL of the API and of the token endpoint.
func (s *Site) APIURL() string { return s.server.APIURL }

// RootPEM returns the root certificate of the site's servers.
func (s *Site) RootPEM() []byte { return s.server.CAPEM }

// Environ returns the settings of a client as "NAME=value", without the root certificate. A single tenant is named in
// them; several are in a registry ([Site.Register]) and inherit the rest.
func (s *Site) Environ() []string {
	config := mdesim.Defaults()
	environ := append([]string{
		"DEFENDER_CLIENT_ID=" + config.ClientID,
		"DEFENDER_API_URL=" + s.server.APIURL,
		"DEFENDER_AUTHORITY_URL=" + s.server.APIURL,
		"DEFENDER_LINK_HOSTS=" + s.server.DownloadHost,
	}, s.identity.environ...)
	if len(s.tenants) > 1 {
		return environ
	}
	return append([]string{"DEFENDER_TENANT_ID=" + config.TenantID}, environ...)
}
