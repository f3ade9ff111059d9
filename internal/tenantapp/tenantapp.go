// Package tenantapp makes the app of a tenant from its settings. Every program does it here, so a setting means the same
// in each of them. Nothing is sent before the first call.
package tenantapp

import (
	"context"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"packhorse/internal/defender"
	"packhorse/internal/entra"
	"packhorse/internal/settings"
)

// New returns the tenant's app, without a token yet. Its connections use copies of transport; see
// [defender.Transport].
func New(s settings.Settings, credential entra.Credential, transport *http.Transport, now func() time.Time) *defender.App {
	return defender.NewApp(defender.Tenant{
		ID: s.TenantID, ClientID: s.ClientID, APIURL: s.APIURL, AuthorityURL: s.AuthorityURL,
		Scope: s.Scope, LinkHosts: s.LinkHosts, Credential: credential,
		Links: defender.Limits{PerMinute: s.PackageURIPerMinute, PerHour: s.PackageURIPerHour},
	}, transport, now)
}

// Credential returns how the tenant's app proves who it is. It asks for the AWS configuration only if the credential is
// kept in AWS or comes from there; errors are those of cfg.
func Credential(ctx context.Context, s settings.Settings, cfg func(context.Context) (aws.Config, error), now func() time.Time) (
	entra.Credential, error,
) {
	identity := defender.Identity{
		Credential: s.TenantCredential(), Audience: s.TokenExchangeAudience(), Secret: s.ClientSecret.Reveal(),
	}
	if identity.Credential.UsesAWS() {
		var err error
		identity.AWS, err = cfg(ctx)
		if err != nil {
			return nil, err
		}
	}
	return defender.NewCredential(identity, now), nil
}
