package entra

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"packhorse/internal/tenant"
)

// Store reads a text that is kept elsewhere, in up to two versions.
type Store interface {
	// Read returns the current version. It may come from a cache, unless again is set.
	Read(ctx context.Context, again bool) (string, error)
	// Previous returns the version before the current one, or "" if there is none. It is never cached.
	Previous(ctx context.Context) (string, error)
}

// Text is a [Store] that holds one text, such as a value from the environment.
type Text string

// Read returns the text.
func (t Text) Read(context.Context, bool) (string, error) { return string(t), nil }

// Previous returns "".
func (Text) Previous(context.Context) (string, error) { return "", nil }

// ClientSecret is the [Credential] of an app with a client secret. While a secret is replaced, Entra ID
// accepts two; the newer one is tried first.
type ClientSecret struct {
	store Store
	where string // of the secret, for advice
}

// NewClientSecret returns the credential. The text in the store is either the bare secret or JSON:
//
//	{"client_secret": "…", "expires": "2027-03-01", "previous": "…"}
//
// Only client_secret is required. where names the store's setting in errors.
func NewClientSecret(store Store, where string) *ClientSecret { return &ClientSecret{store, where} }

// Kind implements [Credential].
func (*ClientSecret) Kind() tenant.Kind { return tenant.ClientSecret }

// Proofs implements [Credential]. The first time it returns the current secret only; again, it also
// returns the previous one, from the text or from the store.
func (c *ClientSecret) Proofs(ctx context.Context, _ Application, again bool) ([]Proof, error) {
	text, err := c.store.Read(ctx, again)
	if err != nil {
		return nil, err
	}
	current, err := c.parse(text)
	if err != nil {
		return nil, err
	}
	proofs := []Proof{current.proof("the client secret")}
	if !again {
		return proofs, nil
	}
	older := current.Previous
	if older == "" {
		text, err = c.store.Previous(ctx)
		if err != nil {
			return proofs, nil // the current one is reported
		}
		previous, err := c.parse(text)
		if err != nil {
			return proofs, nil
		}
		return append(proofs, previous.proof("the previous client secret")), nil
	}
	return append(proofs, storedSecret{Secret: older}.proof("the previous client secret")), nil
}

// storedSecret is the JSON form.
type storedSecret struct {
	Secret   string `json:"client_secret"`
	Expires  string `json:"expires"`
	Previous string `json:"previous"`

	expires time.Time
}

// parse reads either form. Errors do not quote the text.
func (c *ClientSecret) parse(text string) (storedSecret, error) {
	text = strings.TrimSpace(text) // files often add a line break
	s := storedSecret{Secret: text}
	if strings.HasPrefix(text, "{") {
		s = storedSecret{}
		err := json.Unmarshal([]byte(text), &s)
		if err != nil {
			return storedSecret{}, c.unusable("it begins like JSON but is malformed")
		}
	}
	s.Secret, s.Previous = strings.TrimSpace(s.Secret), strings.TrimSpace(s.Previous)
	switch {
	case text == "":
		return storedSecret{}, c.unusable("it is empty")
	case s.Secret == "":
		return storedSecret{}, c.unusable(`its JSON lacks "client_secret", or the value is empty`)
	}
	if s.Expires == "" {
		return s, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		at, err := time.Parse(layout, s.Expires)
		if err == nil {
			s.expires = at
			return s, nil
		}
	}
	return storedSecret{}, c.unusable(`its "expires" is not a date such as 2027-03-01`)
}

func (c *ClientSecret) unusable(problem string) *Error {
	return &Error{
		Message: fmt.Sprintf("the client secret in %s cannot be used: %s", c.where, problem),
		Advice: `give it the client secret's value, bare or as ` +
			`{"client_secret": "…", "expires": "2027-03-01"}`,
	}
}

func (s storedSecret) proof(name string) Proof {
	return Proof{
		Name: name, Expires: s.expires, id: fingerprint(s.Secret), hidden: []string{s.Secret},
		identity: func(a Application, options azcore.ClientOptions) (azcore.TokenCredential, error) {
			return azidentity.NewClientSecretCredential(a.TenantID, a.ClientID, s.Secret,
				&azidentity.ClientSecretCredentialOptions{
					ClientOptions: options,
					// Otherwise azidentity asks a Microsoft host whether a custom authority is genuine. The
					// simulator's is not, and the host may be unreachable where only the authority can be
					// reached.
					DisableInstanceDiscovery: !isMicrosoft(a.AuthorityURL),
				})
		},
	}
}
