// Package simulation runs a simulated Defender tenant in this process. Resume serves a run in the same
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

// Tenant is a simulated tenant, served in this process. It MUST be closed.
type Tenant struct {
	server   *mdesim.Server
	identity identity
}

// Resume serves the tenant of the plan file in the data folder while some of its actions are not done.
// Otherwise it writes the plan next, which starts now. If the seed of next is 0, it gets a random one. The app's
// credential is of the given kind.
func Resume(ctx context.Context, folder string, kind tenant.Kind, next Plan, ledger Ledger) (*Tenant, error) {
	plan, err := resume(ctx, filepath.Join(folder, PlanFile), next, ledger)
	if err != nil {
		return nil, err
	}
	return Serve(ctx, "127.0.0.1:0", "127.0.0.1:0", plan, kind, filepath.Join(folder, CertificateFile))
}

// Serve serves the plan's tenant: the API with its token endpoint on one address, the download host on
// the other. If the app's credential is a certificate, it stores it in the file.
func Serve(ctx context.Context, api, download string, plan Plan, kind tenant.Kind, file string) (_ *Tenant, err error) {
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
	err = server.SetRegistration(identity.registration)
	if err != nil {
		return nil, errors.Join(err, server.Close())
	}
	for _, a := range append(plan.scenario(), mdesim.OtherActions(plan.Seed, plan.StartedAt)...) {
		server.Add(a)
	}
	return &Tenant{server, identity}, nil
}

// Close stops serving.
func (t *Tenant) Close() error { return errors.Join(t.server.Close(), t.identity.close()) }

// STSURL returns the URL of the STS that vouches for the app, or an empty string if the credential is of
// another kind.
func (t *Tenant) STSURL() string { return t.identity.stsURL }

// APIURL returns the URL of the API and of the token endpoint.
func (t *Tenant) APIURL() string { return t.server.APIURL }

// RootPEM returns the root certificate of the tenant's servers.
func (t *Tenant) RootPEM() []byte { return t.server.CAPEM }

// Environ returns the settings of a client as "NAME=value", without the root certificate.
func (t *Tenant) Environ() []string {
	config := mdesim.Defaults()
	return append([]string{
		"DEFENDER_TENANT_ID=" + config.TenantID,
		"DEFENDER_CLIENT_ID=" + config.ClientID,
		"DEFENDER_API_URL=" + t.server.APIURL,
		"DEFENDER_AUTHORITY_URL=" + t.server.APIURL,
		"DEFENDER_LINK_HOSTS=" + t.server.DownloadHost,
	}, t.identity.environ...)
}
