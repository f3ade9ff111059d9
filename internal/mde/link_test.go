package mde_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"packhorse/internal/investigation"
	"packhorse/internal/mde"
)

func TestPackageURI(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		value  string
	}{
		"plain":            {200, link},
		"created":          {201, link},
		"quoted":           {200, `"` + link + `"`},
		"quoted, blanks":   {200, "  \"" + link + " \"\r\n"},
		"named port":       {200, strings.Replace(link, ".net/", ".net:443/", 1)},
		"listed port":      {200, "https://localhost:8443/x?token=%2f%2b%3b"},
		"upper-case host":  {200, strings.Replace(link, "store.blob", "STORE.Blob", 1)},
		"lower-case codes": {200, "https://a.blob.core.windows.net/a%2fb?token=a%2fb%2bc%3bd"},
	} {
		t.Run(name, func(t *testing.T) {
			client := newClient(t, transports{linker: tripper(func(req *http.Request) (*http.Response, error) {
				if got := req.URL.Path; got != "/api/machineactions/"+action+"/getPackageUri" {
					t.Errorf("path %s", got)
				}
				return reply(tt.status, jsonOf(t, map[string]any{"value": tt.value})), nil
			})})
			got, _, err := client.PackageURI(t.Context(), strings.ToUpper(action))
			want := strings.Trim(tt.value, "\" \r\n")
			if err != nil || got.Reveal() != want {
				t.Errorf("got %q, %v, want %q", got.Reveal(), err, want)
			}
		})
	}
}

func TestPackageURIRefusesLinks(t *testing.T) {
	for name, tt := range map[string]struct {
		value  any
		listed bool // refused for another reason than its host
	}{
		"clear text":       {strings.Replace(link, "https", "http", 1), true},
		"another host":     {"https://attacker.example/" + secret, false},
		"the suffix alone": {"https://blob.core.windows.net/" + secret, false},
		"a look-alike":     {"https://blob.core.windows.net.attacker.example/" + secret, false},
		"glued on":         {"https://attackerblob.core.windows.net/" + secret, false},
		"another port":     {strings.Replace(link, ".net/", ".net:8443/", 1), false},
		"port of another":  {"https://localhost/" + secret, false},
		"user":             {"https://" + secret + "@store.blob.core.windows.net/", true},
		"no host":          {"https:///" + secret, true},
		"no URL":           {"https://[" + secret, true},
		"a path":           {"/" + secret, true},
		"empty":            {"", true},
		"null":             {nil, true},
		"an object":        {map[string]any{"link": secret}, true},
	} {
		t.Run(name, func(t *testing.T) {
			client := newClient(t, transports{
				linker: always(200, jsonOf(t, map[string]any{"value": tt.value})),
			})
			_, _, err := client.PackageURI(t.Context(), action)
			checkNoSecret(t, err)
			// A host that is not listed is a setting to mend, and the package waits for it.
			_, postponed := errors.AsType[*investigation.PostponedError](err)
			if postponed == tt.listed {
				t.Errorf("postponed: %t, want %t: %v", postponed, !tt.listed, err)
			}
			if !tt.listed && !strings.Contains(err.Error(), "DEFENDER_LINK_HOSTS") {
				t.Errorf("the error does not say what to mend: %v", err)
			}
		})
	}
}

func TestPackageURISendsNoIDThatIsNone(t *testing.T) {
	client := newClient(t, transports{})
	for _, id := range []string{"", "..", "a/b", action + "/../x"} {
		_, _, err := client.PackageURI(t.Context(), id)
		if err == nil {
			t.Errorf("%q was sent", id)
		}
	}
}

func TestLinkHosts(t *testing.T) {
	for _, tt := range []struct {
		entry, address string
		want           bool
	}{
		{"a.example", "https://a.example/x", true},
		{"a.example", "https://A.Example:443/x", true},
		{"a.example", "https://b.a.example/x", false},
		{"a.example", "https://a.example:444/x", false},
		{"a.example:444", "https://a.example:444/x", true},
		{"a.example:444", "https://a.example/x", false},
		{".a.example", "https://b.a.example/x", true},
		{".a.example", "https://c.b.a.example/x", true},
		{".a.example", "https://a.example/x", false},
		{".a.example", "https://.a.example/x", false},
		{".a.example", "https://ba.example/x", false},
		{".a.example:8443", "https://b.a.example:8443/x", true},
		{".a.example", "https://b.a.example:8443/x", false},
		{" A.Example ", "https://a.example/x", true},
		{"127.0.0.1:8443", "https://127.0.0.1:8443/x", true},
		{"[::1]:8443", "https://[::1]:8443/x", true},
		{"[::1]", "https://[::1]/x", true},
	} {
		got, err := mde.LinkHostsAllow([]string{"unrelated.example", tt.entry}, tt.address)
		if err != nil || got != tt.want {
			t.Errorf("%q allows %q: %t, %v, want %t", tt.entry, tt.address, got, err, tt.want)
		}
	}
	for _, entry := range []string{"", ".", ".com", "*.a.example", "https://a.example", "a.example/x",
		"a.example:", "a.example:x", "a.example:70000", "a b", "a..b", "me@a.example"} {
		if _, err := mde.LinkHostsAllow([]string{entry}, "https://a.example"); err == nil {
			t.Errorf("%q is accepted as a link host", entry)
		}
	}
}
