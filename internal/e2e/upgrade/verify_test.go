package upgrade_test

import (
	"io"

	"packhorse/internal/custody"
	"packhorse/internal/investigation"
	"packhorse/internal/verify"
	"packhorse/internal/verify/verifytest"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// silent is a verify.Reporter.
type silent struct{}

func (silent) Begin(int, int64)                                 {}
func (silent) Reading(_ string, _ int64, r io.Reader) io.Reader { return r }
func (silent) Checked(verify.Subject)                           {}
func (silent) Found(verify.Finding)                             {}

// verify fails unless the bucket and the ledger agree: every object, manifest and signature, and one chain over both
// releases, without a gap, that ends where the ledger says.
func (l leftovers) verify(w *world) {
	var trust verify.Trust
	keys, err := custody.ParseLocalKeys(custody.LocalKeyFile, l.key)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, key := range keys {
		trust.Add(key, custody.LocalKeyFile)
	}
	store := &verifytest.Store{Objects: map[string][]verifytest.Version{}}
	for key, versions := range versionsOf(w.bucket) {
		for n, o := range versions {
			lock := investigation.Retention{Mode: string(o.Mode), LegalHold: o.Hold == types.ObjectLockLegalHoldStatusOn}
			if o.Until != nil {
				lock.Until = *o.Until
			}
			store.Objects[key] = append(store.Objects[key], verifytest.Version{ID: versionID(n), Body: o.Body, Lock: lock})
		}
	}
	sum, err := verify.New(store, trust, w.ledger, w.now, silent{}).Run(w.t.Context(), verify.Scope{})
	if err != nil {
		w.t.Fatal(err)
	}
	if sum.Verdict() != verify.Pass {
		w.wrong("%s: problems %+v, gaps %+v", sum.Verdict(), sum.Problems, sum.Gaps)
	}
	manifests := len(l.Actions)
	for _, c := range l.Actions {
		if c.Reason == investigation.ReasonInvalid {
			manifests++ // of what is in quarantine
		}
	}
	if len(sum.Tenants) != 1 || sum.Tenants[0].Manifests != manifests {
		w.wrong("verified %+v, want %d manifests", sum.Tenants, manifests)
	} else if chain := sum.Tenants[0].Chain; !chain.Whole || !chain.Ended || chain.Length != int64(manifests) {
		w.wrong("the chain: %+v, want %d manifests", chain, manifests)
	}
	if len(sum.Strangers) != 1 {
		w.wrong("the strangers: %+v, want one", sum.Strangers)
	}
}
