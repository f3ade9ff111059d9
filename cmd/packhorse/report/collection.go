package report

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"packhorse/internal/manifest"
)

// collection describes how the package was obtained.
func (w writer) collection() Section {
	c := w.m.Collection
	s := Section{Title: "How it was collected"}
	switch {
	case w.m.Object == nil:
		s.Paragraphs = []string{fmt.Sprintf("Packhorse tried %s.", times(c.Attempts))}
	case c.Attempts > 1:
		s.Paragraphs = []string{fmt.Sprintf("Attempt number %d succeeded.", c.Attempts)}
	default:
		s.Paragraphs = []string{"The first attempt succeeded."}
	}
	exchange := func(what string, e *manifest.Exchange) {
		if e == nil {
			return
		}
		s.Facts = append(s.Facts,
			Fact{what, fmt.Sprintf("%s (%s), requested %s, answered after %s", clean(e.Host),
				clean(cmp.Or(e.TLSVersion, "not encrypted")), when(e.AskedAt),
				e.AnsweredAt.Sub(e.AskedAt).Round(time.Millisecond)), false})
		ids := strings.Trim(clean(e.RequestID)+" / "+clean(e.CorrelationID), "/ ")
		for _, f := range []Fact{
			{"  certificate SHA-256", clean(e.CertificateSHA256), true},
			{"  request / correlation id", ids, true},
		} {
			if f.Value != "" {
				s.Facts = append(s.Facts, f)
			}
		}
	}
	exchange("Download link from", c.Link)
	exchange("File from", c.Download)
	for _, e := range c.Earlier {
		s.Lines = append(s.Lines, fmt.Sprintf("Earlier attempt, ended %s: %s", when(e.EndedAt), clean(e.Message)))
	}
	return s
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
