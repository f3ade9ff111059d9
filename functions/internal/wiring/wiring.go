// Package wiring builds what both functions share: the clients of AWS, which serve all tenants, and the client of
// each tenant's Defender. Nothing is sent before the first invocation.
package wiring

import (
	"context"
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
	"packhorse/internal/eventbus"
	"packhorse/internal/ledger"
	"packhorse/internal/ratelimit"
	"packhorse/internal/ratelimit/dynamocounter"
	"packhorse/internal/registry"
	"packhorse/internal/roster"
	"packhorse/internal/settings"
	"packhorse/internal/tenantapp"
)

// Parts are what a function works with for all its tenants.
type Parts struct {
	AWS    aws.Config
	Roster *roster.Roster
	Ledger *ledger.Ledger
	Bus    *eventbus.Bus
	Meter  *metrics.Meter

	counters   defender.Counters
	transports *defender.Transports
	logger     *slog.Logger
}

// Build builds the parts. s are the function's settings, and base is what its tenants share.
func Build(s settings.Settings, base settings.Base, logger *slog.Logger) (Parts, error) {
	cfg, err := awsConfig()
	if err != nil {
		return Parts{}, err
	}
	db := dynamodb.NewFromConfig(cfg)
	var tenants roster.Registry
	if s.TenantsTable != "" {
		tenants = registry.New(db, s.TenantsTable)
	}
	members, err := roster.New(base, tenants)
	if err != nil {
		return Parts{}, err
	}
	meter := metrics.New(os.Stdout, lambdacontext.FunctionName, time.Now)
	return Parts{
		AWS: cfg, Roster: members, Ledger: ledger.New(db, s.LedgerTable),
		Bus: eventbus.New(eventbridge.NewFromConfig(cfg), s.EventBus), Meter: meter,
		counters: defender.Counters{
			Links: meter.Counter(dynamocounter.New(db, s.BudgetTable, time.Now)),
			// Only the poll function lists. Its environment counts in memory, because a shared counter
			// would cost writes while nothing happens.
			Lists: meter.Counter(ratelimit.NewMemory()),
		},
		transports: &defender.Transports{},
		logger:     logger,
	}, nil
}

// Defender returns a tenant's app and its client.
func (p Parts) Defender(s settings.Settings) (*defender.App, defender.Client, error) {
	transport, err := p.transports.For(s.CAPEM, s.RootCAs)
	if err != nil {
		return nil, defender.Client{}, err
	}
	credential, err := tenantapp.Credential(context.Background(), s,
		func(context.Context) (aws.Config, error) { return p.AWS, nil }, time.Now)
	if err != nil {
		return nil, defender.Client{}, err
	}
	app := tenantapp.New(s, credential, transport, time.Now)
	client, err := app.Client(p.counters, rand.Text, p.logger.With(slog.String("tenantId", s.TenantID)))
	return app, client, err
}
