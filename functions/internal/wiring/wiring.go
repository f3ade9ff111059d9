// Package wiring builds what both functions share: their clients of AWS and of Defender. Nothing is sent
// before the first invocation.
package wiring

import (
	"crypto/rand"
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"

	"packhorse/functions/internal/metrics"
	"packhorse/internal/defender"
	"packhorse/internal/entra"
	"packhorse/internal/eventbus"
	"packhorse/internal/ledger"
	"packhorse/internal/ratelimit"
	"packhorse/internal/ratelimit/dynamocounter"
	"packhorse/internal/settings"
)

// Parts are what a function is made of.
type Parts struct {
	AWS      aws.Config
	App      *defender.App
	Defender defender.Client
	Ledger   *ledger.Ledger
	Bus      *eventbus.Bus
	Meter    *metrics.Meter
}

// Build builds the parts.
func Build(s settings.Settings, logger *slog.Logger) (Parts, error) {
	cfg, err := awsConfig()
	if err != nil {
		return Parts{}, err
	}
	db := dynamodb.NewFromConfig(cfg)
	meter := metrics.New(os.Stdout, lambdacontext.FunctionName, time.Now)
	roots, err := s.RootCAs()
	if err != nil {
		return Parts{}, err
	}
	credential := defender.NewCredential(defender.Identity{
		Credential: s.TenantCredential(), Audience: s.TokenExchangeAudience(), AWS: cfg,
	}, time.Now)
	app := defender.NewApp(tenantOf(s, credential), defender.Transport(roots), time.Now)
	client, err := app.Client(defender.Counters{
		Links: meter.Counter(dynamocounter.New(db, s.BudgetTable, time.Now)),
		// Only the poll function lists. Its environment counts in memory, because a shared counter
		// would cost writes while nothing happens.
		Lists: meter.Counter(ratelimit.NewMemory()),
	}, rand.Text, logger)
	if err != nil {
		return Parts{}, err
	}
	return Parts{
		AWS: cfg, App: app, Defender: client, Ledger: ledger.New(db, s.LedgerTable),
		Bus: eventbus.New(eventbridge.NewFromConfig(cfg), s.EventBus), Meter: meter,
	}, nil
}

// tenantOf returns the tenant of the settings.
func tenantOf(s settings.Settings, credential entra.Credential) defender.Tenant {
	return defender.Tenant{
		ID: s.TenantID, ClientID: s.ClientID, APIURL: s.APIURL, AuthorityURL: s.AuthorityURL,
		Scope: s.Scope, LinkHosts: s.LinkHosts, Credential: credential,
		Links: defender.Limits{PerMinute: s.PackageURIPerMinute, PerHour: s.PackageURIPerHour},
	}
}
