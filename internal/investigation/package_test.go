package investigation_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"packhorse/internal/investigation"
)

func TestLinkReveals(t *testing.T) {
	const url = "https://download.test/x?token=s3cr3t"
	link := investigation.NewLink(url)
	if got := link.Reveal(); got != url {
		t.Errorf("got %q, want %q", got, url)
	}
	if got := (investigation.Link{}).Reveal(); got != "" {
		t.Errorf("the zero link: got %q, want nothing", got)
	}
	if link != investigation.NewLink(strings.Clone(url)) || link == investigation.NewLink(url+"4") {
		t.Error("links are not equal if and only if their URLs are")
	}
}

// Printing, logging or encoding a link never shows any part of it.
func TestLinkNeverShows(t *testing.T) {
	const secret = "s3cr3t"
	link := investigation.NewLink("https://download.test/x?token=" + secret)
	type open struct {
		Link    investigation.Link
		Pointer *investigation.Link
		Any     any
		Links   []investigation.Link
		Map     map[investigation.Link]investigation.Link
	}
	type hidden struct{ link, other any }
	type hiddenPlain struct{ link investigation.Link }
	holders := map[string]any{
		"link": link, "pointer": &link,
		"slice": []investigation.Link{link}, "array": [1]investigation.Link{link},
		"exported": open{link, &link, link, []investigation.Link{link},
			map[investigation.Link]investigation.Link{link: link}},
		"hidden": hidden{link, &link}, "hidden plain": hiddenPlain{link},
		"hidden pointer": &hiddenPlain{link},
	}
	for name, v := range holders {
		var texts []string
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%c",
			"%U", "%b", "%o", "%e", "%T", "%100s", "%.2s", "%z", "%!", "%"} {
			texts = append(texts, fmt.Sprintf(verb, v))
		}
		if p, isPointer := v.(*investigation.Link); isPointer {
			texts = append(texts, fmt.Sprintf("%p", p))
		}
		texts = append(texts, fmt.Sprint(v), fmt.Sprintln(v), fmt.Errorf("open %v: %w", v,
			errors.New("refused")).Error(), encoded(v))
		var log bytes.Buffer
		for _, h := range []slog.Handler{
			slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil),
		} {
			slog.New(h).Info("opened", slog.Any("value", v), slog.Group("g", slog.Any("value", v)))
		}
		texts = append(texts, log.String())
		for _, text := range texts {
			if strings.Contains(text, secret) || strings.Contains(text, "download.test") ||
				strings.Contains(text, fmt.Sprintf("%x", secret)) {
				t.Errorf("%s shows the link: %s", name, text)
			}
		}
	}
}

// encoded returns the output of the standard encoders for v, and their errors.
func encoded(v any) string {
	var out bytes.Buffer
	for _, encode := range []func(any) error{
		json.NewEncoder(&out).Encode, xml.NewEncoder(&out).Encode, gob.NewEncoder(&out).Encode,
	} {
		if err := encode(v); err != nil {
			out.WriteString(err.Error())
		}
	}
	return out.String()
}

func TestLinkSaysThatItIsHidden(t *testing.T) {
	link := investigation.NewLink("https://download.test/x")
	for _, verb := range []string{"%v", "%s", "%d", "%#v"} {
		if got := fmt.Sprintf(verb, link); got != "[redacted]" {
			t.Errorf("%s: got %q", verb, got)
		}
	}
	if got, err := json.Marshal(link); err != nil || string(got) != `"[redacted]"` {
		t.Errorf("JSON: got %s, %v", got, err)
	}
	if got := link.String(); got != "[redacted]" {
		t.Errorf("String: got %q", got)
	}
}
