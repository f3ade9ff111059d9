package report

import (
	_ "embed"
	"html/template"
	"io"
	"strings"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"indented": func(name string) bool { return strings.HasPrefix(name, " ") },
}).Parse(pageText))

// HTML writes the report as a self-contained page, without scripts or external resources.
func (r Report) HTML(out io.Writer) error { return page.Execute(out, r) }
