package mdesim

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
)

// Registration is what the app registration accepts as proof. It can be replaced at run time.
type Registration struct {
	Secrets      []string // Entra ID accepts several at once
	Certificates []*x509.Certificate
	Federations  []Federation
}

// Federation is a federated identity credential.
type Federation struct {
	Issuer, Subject, Audience string
}

// registrationMax is how many federated identity credentials an app may have.
const registrationMax = 20

// SetRegistration replaces what the app registration accepts. Tokens that were issued stay valid.
func (s *Simulator) SetRegistration(r Registration) error {
	if len(r.Federations) > registrationMax {
		return fmt.Errorf("%d federated identity credentials: an app may have %d", len(r.Federations), registrationMax)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.registration = r
	return nil
}

// Registration returns what the app registration accepts.
func (s *Simulator) Registration() Registration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Registration{
		Secrets: slices.Clone(s.registration.Secrets), Certificates: slices.Clone(s.registration.Certificates),
		Federations: slices.Clone(s.registration.Federations),
	}
}

// keysOf returns the RSA keys in a JSON Web Key Set, by their ids.
func keysOf(set []byte) (map[string]*rsa.PublicKey, error) {
	var parsed struct {
		Keys []struct {
			Kty, Kid, N, E string
		} `json:"keys"`
	}
	err := json.Unmarshal(set, &parsed)
	if err != nil {
		return nil, err
	}
	keys := map[string]*rsa.PublicKey{}
	for _, key := range parsed.Keys {
		n, errN := base64.RawURLEncoding.DecodeString(key.N)
		e, errE := base64.RawURLEncoding.DecodeString(key.E)
		if key.Kty != "RSA" || errN != nil || errE != nil {
			continue
		}
		keys[key.Kid] = &rsa.PublicKey{
			N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64()),
		}
	}
	return keys, nil
}
