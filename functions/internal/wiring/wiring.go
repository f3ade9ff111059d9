// Package wiring builds what both functions need of AWS and of Defender. Nothing in it reaches out:
// the first call is made by the first invocation.
package wiring

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"packhorse/functions/internal/metrics"
	"packhorse/internal/entra"
	"packhorse/internal/eventbus"
	"packhorse/internal/ledger"
	"packhorse/internal/mde"
	"packhorse/internal/ratelimit"
	"packhorse/internal/ratelimit/dynamocounter"
	"packhorse/internal/settings"
)

const (
	// What Defender allows of list and get calls. This budget is kept in the memory of an environment
	// of the poll function, because a shared one would cost writes while nothing happens: a sweep is
	// two calls, so that two stacks of one app together stay within 1,500 an hour by their pace alone,
	// while SweepInterval is 10 s or more.
	listPerMinute = 100
	listPerHour   = 1500

	// connectTimeout bounds how long a host may take to shake hands.
	connectTimeout = 15 * time.Second
)

// Parts are what a function is made of.
type Parts struct {
	AWS      aws.Config
	Defender *mde.Client
	Ledger   *ledger.Ledger
	Bus      *eventbus.Bus
	Budget   ratelimit.Gauge // of getPackageUri
	Meter    *metrics.Meter
}

// Build builds the parts.
func Build(ctx context.Context, s settings.Settings, logger *slog.Logger) (Parts, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return Parts{}, fmt.Errorf("load the AWS configuration: %w", err)
	}
	db := dynamodb.NewFromConfig(cfg)
	meter := metrics.New(os.Stdout, lambdacontext.FunctionName, time.Now)
	counter := meter.Counter(dynamocounter.New(db, s.BudgetTable, time.Now))
	name := s.TenantID + "#" + s.ClientID + "#"
	links := ratelimit.Budget{
		Name: name + "getPackageUri", PerMinute: s.PackageURIPerMinute, PerHour: s.PackageURIPerHour,
	}
	listing := ratelimit.Budget{
		Name: name + "machineactions", PerMinute: listPerMinute, PerHour: listPerHour,
	}
	roots, err := s.RootCAs()
	if err != nil {
		return Parts{}, err
	}
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	base.TLSHandshakeTimeout = connectTimeout
	vault := entra.NewVault(secretsmanager.NewFromConfig(cfg), s.SecretID, time.Now)
	tokens := entra.NewTokenSource(entra.Application{
		TenantID: s.TenantID, ClientID: s.ClientID, AuthorityURL: s.AuthorityURL.String(),
		Scope: s.Scope,
	}, vault.Secret, base, time.Now)
	// The token outside, the count inside, so that waiting for a token is no part of a call's lease.
	counted := func(c ratelimit.Counter, b ratelimit.Budget) http.RoundTripper {
		return entra.NewTransport(ratelimit.NewTransport(ratelimit.FreshConnections(base), c, b,
			time.Now, rand.Text, logger), tokens, s.APIURL)
	}
	defender, err := mde.New(s.APIURL, s.TenantID, counted(meter.Counter(ratelimit.NewMemory()), listing),
		counted(counter, links), base, s.LinkHosts, time.Now)
	if err != nil {
		return Parts{}, err
	}
	return Parts{
		AWS: cfg, Defender: defender, Ledger: ledger.New(db, s.LedgerTable),
		Bus:    eventbus.New(eventbridge.NewFromConfig(cfg), s.EventBus),
		Budget: ratelimit.NewGauge(counter, links), Meter: meter,
	}, nil
}
