package report

import (
	"cmp"
	"path"

	"packhorse/cmd/packhorse/console"
	"packhorse/internal/investigation"
	"packhorse/internal/verify"
)

// without lists commands that check the evidence without Packhorse. People paste them, so they contain only
// names that verified.
func (w writer) without() Section {
	s := Section{Title: "How to check it without Packhorse"}
	if w.sum.Verdict() == verify.Fail || w.s.Result(verify.CheckSignature).Verdict != verify.VerdictOK {
		s.Paragraphs = []string{"The commands are omitted because the evidence did not verify: they would " +
			"contain names that are not trustworthy. docs/evidence.md shows the general commands."}
		return s
	}
	signatureKey := cmp.Or(w.s.SignatureKey, investigation.SignatureKey(w.s.ManifestKey))
	manifest := console.ShellQuote(cmp.Or(w.files.Manifest, path.Base(w.s.ManifestKey)))
	signature := console.ShellQuote(cmp.Or(w.files.Signature, path.Base(signatureKey)))
	key := console.ShellQuote(cmp.Or(w.files.Key, w.m.Signature.KeyID+".pem"))
	s.Paragraphs = []string{"Put the files and the public key in one folder. Take the key from " +
		investigation.SigningKeysFolder + " in the archive or, better, from a copy kept elsewhere."}
	if w.files != (Files{}) {
		s.Paragraphs = []string{"Type this in the folder of the export. Compare the key id with one that you got " +
			"another way than with the export."}
	}
	s.Steps = []Step{
		{"openssl pkey -pubin -in " + key + " \\\n    -outform DER | sha256sum",
			"prints the key id, which is also the name of the key file"},
		{"openssl dgst -sha256 \\\n    -verify " + key + " \\\n    -signature " + signature +
			" \\\n    " + manifest,
			"prints: Verified OK"},
		{"sha256sum " + manifest, "prints: " + w.s.Digest},
	}
	if o := w.m.Object; o != nil {
		s.Steps = append(s.Steps, Step{"sha256sum " + console.ShellQuote(cmp.Or(w.files.Object, path.Base(w.s.Key))),
			"prints the value in the manifest: " + clean(o.SHA256)})
	}
	return s
}
