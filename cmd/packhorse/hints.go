package main

import (
	"crypto/x509"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"

	"packhorse/cmd/packhorse/catalog"
	"packhorse/internal/entra"
)

// hintFor says what may help with an error of the surroundings, or nothing. What the adapters know
// better they have said in the error itself.
func hintFor(err error) string {
	if refused, ok := errors.AsType[*entra.Error](err); ok && refused.Hint != "" {
		return ""
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "the certificate's issuer is not trusted; does a proxy inspect TLS? put its root into DEFENDER_CA_PEM"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "the certificate is for another host: check DEFENDER_API_URL and DEFENDER_AUTHORITY_URL"
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return "the name cannot be resolved: check the network, the proxy, and DEFENDER_API_URL"
	}
	if hint := evidenceHint(err); hint != "" {
		return hint
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENETUNREACH),
		errors.Is(err, syscall.EHOSTUNREACH):
		return "the host cannot be reached: check the network, HTTPS_PROXY, and DEFENDER_API_URL"
	case errors.Is(err, syscall.ENOSPC):
		return "the disk is full: free some space, or name another folder with --data"
	case errors.Is(err, os.ErrPermission):
		return "the data folder cannot be written: name another with --data"
	default:
		return ""
	}
}

// evidenceHint is hintFor for what reads an archive or a ledger.
func evidenceHint(err error) string {
	if _, ok := errors.AsType[*noArchiveError](err); ok {
		return "name the data folder with --data (that of a simulation is " + simulationDefault +
			"), a copied archive with --from DIR, or a bucket with --from s3://NAME"
	}
	if _, ok := errors.AsType[*noLedgerError](err); ok {
		return "name the data folder with --data (that of a simulation is " + simulationDefault +
			"), or a DynamoDB table with --ledger and --tenant"
	}
	if _, ok := errors.AsType[*noKeyError](err); ok {
		return "packhorse run makes the key; name its data folder with --data, or an archive with --from"
	}
	if lost, ok := errors.AsType[*lostAttributesError](err); ok {
		return lost.mend()
	}
	if verdict, ok := errors.AsType[*verdictError](err); ok {
		return verdict.hint
	}
	switch {
	case errors.Is(err, catalog.ErrNoPair):
		return "packhorse list --machine NAME shows what there is of the host"
	case strings.Contains(err.Error(), "failed to retrieve credentials"),
		strings.Contains(err.Error(), "get identity: get credentials"):
		return "there are no AWS credentials: sign in (aws sso login), or set AWS_PROFILE"
	default:
		return ""
	}
}
