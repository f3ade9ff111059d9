package report

import (
	"path"

	"packhorse/cmd/packhorse/console"
	"packhorse/internal/investigation"
	"packhorse/internal/verify"
)

// without gives the commands that check it with nothing of Packhorse's. They are there to be pasted, so
// nothing that did not verify stands in one.
func (w writer) without() Section {
	s := Section{Title: "How to check it without Packhorse"}
	if w.sum.Verdict() == verify.Fail || w.s.Result(verify.CheckSignature).Verdict != verify.VerdictOK {
		s.Paragraphs = []string{"The commands are left out, because it did not verify: they would have names " +
			"in them that nobody vouches for. docs/evidence.md has them in general."}
		return s
	}
	manifest := console.ShellQuote(path.Base(w.s.ManifestKey))
	signature := console.ShellQuote(path.Base(investigation.SignatureKey(w.s.ManifestKey)))
	if w.s.SignatureKey != "" {
		signature = console.ShellQuote(path.Base(w.s.SignatureKey))
	}
	key := console.ShellQuote(w.m.Signature.KeyID + ".pem")
	s.Paragraphs = []string{"Put the files and the public key into one folder: the one from " +
		investigation.SigningKeysFolder + " of the archive, or better a copy that was kept elsewhere."}
	s.Steps = []Step{
		{"openssl pkey -pubin -in " + key + " \\\n    -outform DER | sha256sum",
			"prints the id of the key, which is the name of its file"},
		{"openssl dgst -sha256 \\\n    -verify " + key + " \\\n    -signature " + signature +
			" \\\n    " + manifest,
			"prints: Verified OK"},
		{"sha256sum " + manifest, "prints: " + w.s.Digest},
	}
	if o := w.m.Object; o != nil {
		s.Steps = append(s.Steps, Step{"sha256sum " + console.ShellQuote(path.Base(w.s.Key)),
			"prints, as in the manifest: " + clean(o.SHA256)})
	}
	return s
}
