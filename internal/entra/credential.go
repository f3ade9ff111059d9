package entra

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"packhorse/internal/tenant"
)

// Credential proves to Entra ID which app asks for a token. It is a [ClientSecret], a [Certificate] or a
// [Federation], and is safe for concurrent use.
type Credential interface {
	// Kind returns how the app proves who it is.
	Kind() tenant.Kind

	// Proofs returns the proofs to try for one token, the preferred one first; there is at least one. again
	// is set after Entra ID refused all that were returned before: then nothing comes from a cache. Errors
	// wrap *[Error] if a person can fix the cause, and never show what is secret.
	Proofs(ctx context.Context, application Application, again bool) ([]Proof, error)
}

// Proof proves one token request.
type Proof struct {
	Name    string    // what people know it by, such as "the certificate with thumbprint 0A1B…"; shows no secret
	Expires time.Time // when Entra ID will no longer accept its like; zero if unknown

	id     string   // the same for equal proofs
	hidden []string // texts that must never be shown
	fix    string   // the values to compare with those in Entra ID, for advice; may be empty

	// identity makes azidentity's credential.
	identity func(Application, azcore.ClientOptions) (azcore.TokenCredential, error)
}

// fingerprint names a secret without showing it.
func fingerprint(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// asserted returns azidentity's credential for an assertion that is already made.
func asserted(assertion string) func(Application, azcore.ClientOptions) (azcore.TokenCredential, error) {
	return func(a Application, options azcore.ClientOptions) (azcore.TokenCredential, error) {
		return azidentity.NewClientAssertionCredential(a.TenantID, a.ClientID,
			func(context.Context) (string, error) { return assertion, nil },
			&azidentity.ClientAssertionCredentialOptions{
				ClientOptions: options, DisableInstanceDiscovery: !isMicrosoft(a.AuthorityURL),
			})
	}
}
