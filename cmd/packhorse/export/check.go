package export

import (
	"bytes"
	_ "embed"
	"text/template"
)

//go:embed CHECK.txt
var checkText string

var checkPage = template.Must(template.New("check").Parse(checkText))

// check writes the page that says how to check the export. It is a shell script too, whose explanations are
// comments: what people read is what runs. Only names that [take.Names] made, and ids that were checked to be
// digests, get into it.
func (i Index) check() ([]byte, error) {
	var text bytes.Buffer
	err := checkPage.Execute(&text, i)
	return text.Bytes(), err
}
