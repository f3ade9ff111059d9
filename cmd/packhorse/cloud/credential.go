package cloud

import (
	"cmp"

	"packhorse/internal/doctor"
	"packhorse/internal/tenant"
)

// Names of the parameters and outputs of template.yaml that say how the app proves who it is.
const (
	parameterCredential        = "DefenderCredential"
	parameterSecret            = "DefenderSecretArn"
	parameterCertificate       = "DefenderCertificatePem"
	parameterCertificateKey    = "DefenderCertificateKeyArn"
	parameterCertificateSecret = "DefenderCertificateSecretArn"

	outputIdentity       = "FederatedSubject"
	outputCertificateKey = "CertificateKeyArn"
)

// kind returns how the stack's app proves who it is. Templates without the parameter know only secrets.
func (c *Cloud) kind() tenant.Kind {
	return cmp.Or(tenant.Kind(c.stack.Parameters[parameterCredential]), tenant.ClientSecret)
}

// secretName returns the stack's client secret, or an empty string if it has none.
func (c *Cloud) secretName() string {
	if c.kind() != tenant.ClientSecret {
		return ""
	}
	return cmp.Or(c.stack.Parameters[parameterSecret], c.resources[resourceSecret].name)
}

// credentialVariables sets what the functions' environments must say about the credential. Those of the other
// kinds must be empty.
func (c *Cloud) credentialVariables(all map[string]string, w doctor.StackWanted) {
	in, out := c.stack.Parameters, c.stack.Outputs
	if _, ok := in[parameterCredential]; !ok { // an older template
		if w.Secret != "" {
			all["DEFENDER_SECRET_ID"] = w.Secret
		}
		return
	}
	role, text, key, secret := "", "", "", ""
	switch kind := c.kind(); {
	case kind == tenant.Federated:
		role = out[outputIdentity]
	case kind == tenant.Certificate && in[parameterCertificateSecret] != "":
		secret = in[parameterCertificateSecret]
	case kind == tenant.Certificate:
		text, key = in[parameterCertificate], cmp.Or(in[parameterCertificateKey], out[outputCertificateKey])
	}
	all["DEFENDER_CREDENTIAL"], all["DEFENDER_SECRET_ID"] = in[parameterCredential], w.Secret
	all["DEFENDER_IDENTITY_ROLE"], all["DEFENDER_CERTIFICATE_SECRET_ID"] = role, secret
	all["DEFENDER_CERTIFICATE_PEM"], all["DEFENDER_CERTIFICATE_KEY_ID"] = text, key
}
