package desk

import (
	"os"
	"time"

	"packhorse/internal/entra"
	"packhorse/internal/settings"
	"packhorse/internal/status"
	"packhorse/internal/tenant"
)

// settled says how the app of one tenant proves who it is.
type settled struct {
	tenantID string
	read     func() status.Credential
}

// Credential implements status.Credentials.
func (s settled) Credential(tenantID string) status.Credential {
	if tenantID != s.tenantID || s.read == nil {
		return status.Credential{}
	}
	return s.read()
}

// ofMachine knows the tenant in the settings. What is in AWS is not read, and a file each time: it may be replaced.
func ofMachine(environ map[string]string) settled {
	s, err := settings.ParseCLI(environ)
	if err != nil { // packhorse doctor says why
		return settled{}
	}
	return settled{s.TenantID, func() status.Credential {
		switch {
		case s.Credential == tenant.Federated:
			return status.Credential{Kind: s.Credential}
		case s.CertificateFile != "" && s.Credential == tenant.Certificate:
			text, err := os.ReadFile(s.CertificateFile)
			if err != nil {
				return status.Credential{}
			}
			return certificateIn(string(text))
		case s.Credential == tenant.Certificate:
			return certificateIn(s.CertificatePEM)
		default:
			return secretUntil(entra.SecretExpires(s.ClientSecret.Reveal()))
		}
	}}
}

// ofParameters knows the tenant that a stack was deployed for. What is in Secrets Manager is not read.
func ofParameters(tenantID string, parameters map[string]string) settled {
	return settled{tenantID, func() status.Credential {
		switch kind := tenant.Kind(parameters["DefenderCredential"]); kind {
		case tenant.Federated:
			return status.Credential{Kind: kind}
		case tenant.Certificate:
			return certificateIn(parameters["DefenderCertificatePem"])
		default:
			return status.Credential{}
		}
	}}
}

func certificateIn(text string) status.Credential {
	all, err := entra.Certificates(text)
	if err != nil {
		return status.Credential{}
	}
	return status.Credential{Kind: tenant.Certificate, Thumbprint: all[0].Thumbprint, Expires: all[0].Expires}
}

func secretUntil(expires time.Time) status.Credential {
	if expires.IsZero() {
		return status.Credential{}
	}
	return status.Credential{Kind: tenant.ClientSecret, Expires: expires}
}
