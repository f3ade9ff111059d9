package checkup

import (
	"context"
	"errors"
	"slices"

	"github.com/aws/smithy-go"

	"packhorse/internal/defender"
	"packhorse/internal/doctor"
	"packhorse/internal/entra"
)

// accepted returns the proof that Entra ID accepted, among all that the credential has. It reads the credential past
// every cache, so that it also sees the version before the current one.
func (t Tenant) accepted(app *defender.App, credential entra.Credential, to entra.Application) doctor.Look[doctor.Credential] {
	return func(ctx context.Context) (doctor.Credential, error) {
		found := doctor.Credential{Kind: credential.Kind(), Accepted: app.Standing().Name}
		proofs, err := credential.Proofs(ctx, to, true)
		if err != nil {
			return found, refused(err)
		}
		for _, p := range proofs {
			found.Proofs = append(found.Proofs, doctor.Proof{Name: p.Name, Expires: p.Expires})
		}
		return found, nil
	}
}

// deniedCodes are how STS, KMS and Secrets Manager say that whoever asks lacks a permission.
var deniedCodes = []string{"AccessDenied", "AccessDeniedException", "KMSAccessDeniedException"}

// foreign makes it no failure that whoever asks may not use the credential of a stack's functions.
func (t Tenant) foreign(ask func(ctx context.Context) error) doctor.Look[struct{}] {
	return func(ctx context.Context) (none struct{}, _ error) {
		err := ask(ctx)
		if denial, ok := errors.AsType[smithy.APIError](err); ok && t.Foreign && slices.Contains(deniedCodes, denial.ErrorCode()) {
			return none, &doctor.ForeignError{Text: operationOf(err) + ": " + denial.ErrorCode()}
		}
		return none, refused(err)
	}
}

// operationOf returns the call that failed: the innermost, because getting AWS credentials takes calls, too.
func operationOf(err error) string {
	name := "AWS"
	for operation, ok := errors.AsType[*smithy.OperationError](err); ok; {
		name = operation.OperationName
		operation, ok = errors.AsType[*smithy.OperationError](operation.Err)
	}
	return name
}
