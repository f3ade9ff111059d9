// Package simulation runs a simulated Defender tenant in this process. Resume serves a run in the same
// process and can judge it afterwards; Serve serves clients in other processes.
package simulation

import (
	"context"
	"time"

	"packhorse/internal/mde/mdesim"
)

// Tenant is a simulated tenant, served in this process. It MUST be closed.
type Tenant struct {
	server *mdesim.Server
}

// Resume serves the tenant of the plan file at path while some of its actions are not done. Otherwise it
// writes a new plan with the given number of actions and packages of these sizes, used in turn.
func Resume(ctx context.Context, path string, actions int, sizes []int64, ledger Ledger) (*Tenant, error) {
	plan, err := resume(ctx, path, actions, sizes, ledger)
	if err != nil {
		return nil, err
	}
	return Serve(ctx, "127.0.0.1:0", "127.0.0.1:0", plan)
}

// Serve serves the plan's tenant: the API with its token endpoint on one address, the download host on
// the other.
func Serve(ctx context.Context, api, download string, plan Plan) (*Tenant, error) {
	server, err := mdesim.Start(ctx, mdesim.Defaults(), time.Now, api, download)
	if err != nil {
		return nil, err
	}
	for _, a := range append(plan.scenario(), mdesim.OtherActions(plan.Seed, plan.StartedAt)...) {
		server.Add(a)
	}
	return &Tenant{server}, nil
}

// Close stops serving.
func (t *Tenant) Close() error { return t.server.Close() }

// APIURL returns the URL of the API and of the token endpoint.
func (t *Tenant) APIURL() string { return t.server.APIURL }

// RootPEM returns the root certificate of the tenant's servers.
func (t *Tenant) RootPEM() []byte { return t.server.CAPEM }

// Environ returns the settings of a client as "NAME=value", without the root certificate.
func (t *Tenant) Environ() []string {
	config := mdesim.Defaults()
	return []string{
		"DEFENDER_TENANT_ID=" + config.TenantID,
		"DEFENDER_CLIENT_ID=" + config.ClientID,
		"DEFENDER_CLIENT_SECRET=" + config.ClientSecret,
		"DEFENDER_API_URL=" + t.server.APIURL,
		"DEFENDER_AUTHORITY_URL=" + t.server.APIURL,
		"DEFENDER_LINK_HOSTS=" + t.server.DownloadHost,
	}
}
