package settings_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"packhorse/internal/settings"
)

// printed returns s in every format in which a program might print a value.
func printed(t testing.TB, s settings.Secret) map[string]string {
	t.Helper()
	out := map[string]string{"String": s.String()}
	holder := struct {
		Public settings.Secret
		hidden settings.Secret
	}{s, s}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%40s"} {
		out[verb] = fmt.Sprintf(verb, s)
		out[verb+" of a pointer"] = fmt.Sprintf(verb, &s)
		out[verb+" of a struct"] = fmt.Sprintf(verb, holder)
		out[verb+" of a slice"] = fmt.Sprintf(verb, []settings.Secret{s})
		out[verb+" of settings"] = fmt.Sprintf(verb, settings.Settings{ClientSecret: s})
	}
	text, err := json.Marshal(map[string]any{"secret": s, "settings": settings.Settings{ClientSecret: s}})
	if err != nil {
		t.Fatal(err)
	}
	out["JSON"] = string(text)
	var log bytes.Buffer
	for _, handler := range []slog.Handler{
		slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil),
	} {
		slog.New(handler).Info("x", "secret", s, "holder", holder,
			"settings", settings.Settings{ClientSecret: s})
	}
	out["slog"] = log.String()
	return out
}

func TestSecretIsNeverPrinted(t *testing.T) {
	t.Parallel()
	hex := fmt.Sprintf("%x", secret)
	for how, text := range printed(t, settings.NewSecret(secret)) {
		for _, form := range []string{secret, hex, strings.ToUpper(hex), secret[:8]} {
			if strings.Contains(text, form) {
				t.Errorf("%s shows it: %s", how, text)
			}
		}
	}
	var zero settings.Secret
	if !zero.IsZero() || zero.Reveal() != "" || zero.String() != "[redacted]" {
		t.Error("the zero Secret is not empty")
	}
	if !settings.NewSecret("\r\n\n").IsZero() {
		t.Error("line breaks alone make a secret")
	}
}
