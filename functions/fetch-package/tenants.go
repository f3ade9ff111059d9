package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"packhorse/functions/internal/wiring"
	"packhorse/internal/archive"
	"packhorse/internal/custody"
	"packhorse/internal/fetch"
	"packhorse/internal/manifest"
	"packhorse/internal/roster"
	"packhorse/internal/settings"
)

// lease is how long the package of an environment that died lies idle. A live one renews it.
const lease = 2 * time.Minute

// tenants makes the fetchers of the tenants that the roster knows.
type tenants struct {
	parts      wiring.Parts
	s3         *s3.Client
	signer     *custody.KMS
	provenance func(context.Context) (manifest.Provenance, error)
	logger     *slog.Logger
}

// newTenants returns the tenants of a function. otherS3 is the endpoint of an S3 that is not Amazon's, or empty.
func newTenants(parts wiring.Parts, signingKeyID, otherS3 string, logger *slog.Logger) *tenants {
	return &tenants{
		parts: parts,
		s3: s3.NewFromConfig(parts.AWS, func(o *s3.Options) {
			o.UsePathStyle = otherS3 != "" // it knows no other
		}),
		signer:     custody.NewKMS(kms.NewFromConfig(parts.AWS), signingKeyID),
		provenance: provenanceOf(parts.AWS),
		logger:     logger,
	}
}

// lookup implements [fetch.Lookup]. It reads the registry each time, because fetch.Tenants remembers what it returns.
func (t *tenants) lookup(ctx context.Context, id string) (fetch.Member, error) {
	one, err := t.parts.Roster.Get(ctx, id)
	if err != nil {
		return fetch.Member{}, refused(err)
	}
	return fetch.Member{
		Version: one.Version,
		Open:    func() (*fetch.Fetcher, error) { return t.open(one.Settings) },
	}, nil
}

// refused names a tenant that is not served as [fetch.Lookup] wants it.
func refused(err error) error {
	if unknown, ok := errors.AsType[*roster.UnknownError](err); ok {
		return fmt.Errorf("%w: %w: %s", fetch.ErrUnknownTenant, unknown, unknown.Advice())
	}
	if suspended, ok := errors.AsType[*roster.SuspendedError](err); ok {
		return fmt.Errorf("%w: %w", fetch.ErrSuspended, suspended)
	}
	return err
}

func (t *tenants) open(s settings.Settings) (*fetch.Fetcher, error) {
	_, client, err := t.parts.Defender(s)
	if err != nil {
		return nil, err
	}
	store := archive.New(t.s3, s.ArchiveBucket, s.Lock(), archive.PartSize, archive.PartsInFlight, time.Now,
		t.logger.With(slog.String("tenantId", s.TenantID)))
	writer := custody.NewWriter(t.signer, s.ArchiveBucket, s.Lock(), t.provenance, time.Now)
	return fetch.New(fetch.Config{
		Defender:  client,
		Ledger:    t.parts.Ledger,
		Archive:   store,
		Space:     fetch.Unlimited{},
		Bus:       t.parts.Bus,
		Custody:   writer,
		Preflight: fetch.NewPreflight(store, writer),
		Prefix:    s.ArchivePrefix,
		Lease:     lease,
		Now:       time.Now,
		NewOwner:  rand.Text,
		Logger:    t.logger,
	}), nil
}
