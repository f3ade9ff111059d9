package enroll

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"packhorse/internal/entra"
	"packhorse/internal/investigation"
	"packhorse/internal/settings"
	"packhorse/internal/tenant"
)

// New is a tenant to register.
type New struct {
	Tenant  tenant.Tenant   // what a person has chosen
	Secret  settings.Secret // the client secret, to be stored; empty without one
	Replace bool            // the entry of a registered tenant
	Unasked bool            // do not ask Entra ID and Defender first
}

// ExistsError reports that a tenant cannot be registered.
type ExistsError struct{ ID, Why, How string }

func (e *ExistsError) Error() string { return fmt.Sprintf("tenant %s %s", e.ID, e.Why) }

// Advice says what to do instead.
func (e *ExistsError) Advice() string { return e.How }

const (
	secretsFolder           = "secrets"
	secretsMode, secretMode = 0o700, 0o600
)

// Add registers a tenant: it checks everything, asks Entra ID and Defender, stores the secret, and then the entry. If
// it fails, nothing is stored. The answer is what Defender said; it is zero if nobody was asked.
func (p *Place) Add(ctx context.Context, n New, now time.Time) (tenant.Tenant, Answer, error) {
	entry, err := p.entry(ctx, n, now)
	if err != nil {
		return tenant.Tenant{}, Answer{}, err
	}
	where := p.secretPlace(entry.ID)
	if !n.Secret.IsZero() {
		p.keptAt(&entry, where)
	}
	s, err := p.Base.Of(entry)
	if err != nil {
		return tenant.Tenant{}, Answer{}, err
	}
	var answer Answer
	if !n.Unasked {
		if !n.Secret.IsZero() { // it is not stored yet
			s.SecretID, s.SecretFile, s.ClientSecret = "", "", n.Secret
		}
		answer, err = p.ask(ctx, s, now)
		if err != nil {
			return tenant.Tenant{}, Answer{}, err
		}
	}
	if p.claim != nil {
		err = p.claim(ctx)
		if err != nil {
			return tenant.Tenant{}, Answer{}, err
		}
	}
	if !n.Secret.IsZero() {
		err = p.store(ctx, where, n.Secret)
		if err != nil {
			return tenant.Tenant{}, Answer{}, err
		}
	}
	stored, err := p.Registry.Put(ctx, entry)
	if err != nil && !n.Secret.IsZero() {
		err = errors.Join(err, p.discard(context.WithoutCancel(ctx), where))
	}
	return stored, answer, err
}

// entry returns the entry to store.
func (p *Place) entry(ctx context.Context, n New, now time.Time) (tenant.Tenant, error) {
	if n.Tenant.ID == p.OwnID {
		return tenant.Tenant{}, &ExistsError{
			n.Tenant.ID, "is the one of " + p.Name + " itself", "it needs no entry: its settings are those of " + p.Name,
		}
	}
	all, err := p.Registry.List(ctx)
	if err != nil && !errors.Is(err, tenant.ErrInvalid) {
		return tenant.Tenant{}, err
	}
	for _, id := range named(all, n.Tenant.Name) {
		if id != n.Tenant.ID {
			return tenant.Tenant{}, &ExistsError{
				n.Tenant.ID, "cannot have this name: tenant " + id + " has it", "choose another --name",
			}
		}
	}
	entry := tenant.New(n.Tenant, now)
	known, err := p.Registry.Get(ctx, entry.ID)
	switch {
	case err != nil:
		return tenant.Tenant{}, err
	case known.ID == "":
		return entry, nil
	case !n.Replace:
		return tenant.Tenant{}, &ExistsError{entry.ID, "is registered already", "--replace replaces its entry"}
	default:
		return known.Replaced(entry, now), nil
	}
}

// secretPlace returns where to keep a secret of the tenant: a path, or a name in Secrets Manager. The functions may
// read names that begin with the table's. It is always a new place, so that nothing is overwritten.
func (p *Place) secretPlace(id string) string {
	name := id + "-" + strings.ToLower(rand.Text()[:8])
	if p.OnAWS() {
		return p.table + "/" + name
	}
	return filepath.Join(p.data, secretsFolder, name)
}

// keptAt says in the entry where the secret is.
func (p *Place) keptAt(entry *tenant.Tenant, where string) {
	entry.Credential.Kind = tenant.ClientSecret
	if p.OnAWS() {
		entry.Credential.SecretID = where
	} else {
		entry.Credential.SecretFile = where
	}
}

func (p *Place) store(ctx context.Context, where string, secret settings.Secret) error {
	if !p.OnAWS() {
		err := os.MkdirAll(filepath.Dir(where), secretsMode)
		if err == nil {
			err = os.WriteFile(where, []byte(secret.Reveal()), secretMode)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("store the client secret: %w", err), p.discard(ctx, where))
		}
		return nil
	}
	client, err := p.secrets(ctx)
	if err == nil {
		_, err = client.CreateSecret(ctx, &secretsmanager.CreateSecretInput{
			Name: aws.String(where), SecretString: aws.String(secret.Reveal()),
			Description: aws.String("Client secret of a tenant of Packhorse"),
		})
		if _, isThere := errors.AsType[*types.ResourceExistsException](err); isThere {
			err = nil // nobody else has this name: an attempt whose answer was lost has stored it
		}
	}
	if err != nil {
		return fmt.Errorf("store the client secret as %s: %w", where, err)
	}
	return nil
}

// discard removes a secret that was stored in vain.
func (p *Place) discard(ctx context.Context, where string) error {
	if !p.OnAWS() {
		err := os.Remove(where)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	}
	client, err := p.secrets(ctx)
	if err == nil {
		_, err = client.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{
			SecretId: aws.String(where), ForceDeleteWithoutRecovery: aws.Bool(true),
		})
	}
	return err
}

// Orphan returns the secret that Add stored for the first entry and that the second one no longer uses, or an empty
// text. A file is removed; in Secrets Manager it is left for a person to delete.
func (p *Place) Orphan(ctx context.Context, before, after tenant.Tenant) (string, error) {
	id, file := before.Credential.SecretID, before.Credential.SecretFile
	switch {
	case p.OnAWS() && strings.HasPrefix(id, p.table+"/") && id != after.Credential.SecretID:
		return id, nil
	case !p.OnAWS() && filepath.Dir(file) == filepath.Join(p.data, secretsFolder) && file != after.Credential.SecretFile:
		return "", p.discard(ctx, file)
	default:
		return "", nil
	}
}

// OpenWorkError reports a tenant with actions that are not concluded.
type OpenWorkError struct {
	Tenant tenant.Tenant
	Open   int    // 0 if it is not known
	Why    string // it is not known
}

func (e *OpenWorkError) Error() string {
	if e.Why != "" {
		return fmt.Sprintf("tenant %s was not removed: %s", e.Tenant.ID, e.Why)
	}
	return fmt.Sprintf("tenant %s was not removed: %d of its actions are not concluded", e.Tenant.ID, e.Open)
}

// Advice says what to do first.
func (e *OpenWorkError) Advice() string {
	return "wait until they are (packhorse status --tenant " + e.Tenant.ID + "), or remove it with --force: then " +
		"nothing more is fetched for it. What is archived stays either way"
}

// Remove removes an entry. Unless forced, it refuses while something of the tenant is not concluded.
func (p *Place) Remove(ctx context.Context, t tenant.Tenant, force bool) error {
	if !force {
		if p.Ledger == nil {
			return &OpenWorkError{Tenant: t, Why: "without its ledger (--ledger), nobody knows what is not concluded"}
		}
		records, err := p.Ledger.Records(ctx, t.ID)
		if err != nil && !errors.Is(err, investigation.ErrBadRecord) {
			return err
		}
		open := 0
		for _, rec := range records {
			if rec.State != investigation.StateDone {
				open++
			}
		}
		if err != nil {
			return &OpenWorkError{Tenant: t, Why: err.Error()}
		}
		if open > 0 {
			return &OpenWorkError{Tenant: t, Open: open}
		}
	}
	return p.Registry.Delete(ctx, t)
}

// secretBytesMax is more than a client secret has.
const secretBytesMax = 64 << 10

// ReadSecret reads a client secret from a file, or from in if the path is "-".
func ReadSecret(ctx context.Context, path string, in io.Reader) (settings.Secret, error) {
	text, err := read(ctx, path, in)
	if err != nil {
		return settings.Secret{}, fmt.Errorf("read the client secret: %w", err)
	}
	secret := settings.NewSecret(text)
	if mistake := settings.SecretMistake(secret); mistake != "" {
		return settings.Secret{}, fmt.Errorf("the client secret in %s cannot be used: %s", path, mistake)
	}
	return secret, nil
}

func read(ctx context.Context, path string, in io.Reader) (string, error) {
	if path != "-" {
		return entra.File(path).Read(ctx, false)
	}
	all, err := io.ReadAll(io.LimitReader(in, secretBytesMax))
	return string(all), err
}
