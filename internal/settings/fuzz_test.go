package settings_test

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"packhorse/internal/settings"
)

func FuzzParseLinkHosts(f *testing.F) {
	for _, seed := range []string{"", "example.com", ".blob.core.windows.net,127.0.0.1:8443",
		"[::1]:443", "[fe80::1%eth0]:443", "::1", "a:b:c", "https://x.example/y?sig=z", ".com", "..a.b",
		"ſ.example", "K.example:1", "1.2.3.4.", "a,,b", "xn--a.example:65536", "0x7f.1:443"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, list string) {
		hosts, err := settings.ParseLinkHosts(list)
		if err != nil {
			if !errors.Is(err, settings.ErrBadLinkHost) || hosts != nil {
				t.Fatalf("%q: got %q and %v", list, hosts, err)
			}
			if len(list) > 16 && strings.Contains(err.Error(), list) {
				t.Fatalf("the error quotes the list: %v", err)
			}
			return
		}
		if len(hosts) == 0 {
			t.Fatalf("%q: got neither a host nor an error", list)
		}
		for _, host := range hosts {
			if host != strings.ToLower(host) || strings.ContainsAny(host, "/@?#\\ *%,\t\r\n") {
				t.Fatalf("%q: %q is not a host", list, host)
			}
			if strings.HasPrefix(host, ".") && strings.Count(host, ".") < 2 {
				t.Fatalf("%q: %q is a whole top-level domain", list, host)
			}
			if name, _, err := net.SplitHostPort(host); err == nil && name == "" {
				t.Fatalf("%q: the name in %q is empty", list, host)
			}
		}
		again, err := settings.ParseLinkHosts(strings.Join(hosts, ","))
		if err != nil || !slices.Equal(again, hosts) {
			t.Fatalf("%q: %q is read back as %q, %v", list, hosts, again, err)
		}
	})
}

func FuzzSecret(f *testing.F) {
	for _, seed := range []string{"", "\n", secret, secret + "\r\n", "[redacted]", "%s%d%n", "\x00",
		clientID, "ä~"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := settings.NewSecret(text)
		want := strings.TrimRight(text, "\r\n")
		if s.Reveal() != want || s.IsZero() != (want == "") {
			t.Fatalf("%q became %q", text, s.Reveal())
		}
		var read settings.Secret
		if err := read.UnmarshalText([]byte(text)); err != nil || read.Reveal() != want {
			t.Fatalf("%q was read as %q, %v", text, read.Reveal(), err)
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			if got := fmt.Sprintf(verb, s); got != "[redacted]" {
				t.Fatalf("%s prints %q", verb, got)
			}
		}
		_, err := settings.ParseCLI(with(onOneMachine(), "DEFENDER_CLIENT_SECRET", text))
		if err == nil {
			return
		}
		problems(t, err)
		if len(want) > 16 && strings.Contains(err.Error(), want) {
			t.Fatalf("the error shows the secret: %v", err)
		}
	})
}

func FuzzURL(f *testing.F) {
	for _, seed := range []string{"https://api.example.com", "https://[::1]:8443/", "http://a.example",
		"https://a.example/?", "https://a.example#", "https://user@a.example", "https:a.example",
		"HTTPS://A.EXAMPLE", "https://a.example:", "https://%61.example", "https://a.example\n",
		"https://x.example/?sig=" + secret} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := settings.ParseCLI(with(onOneMachine(), "DEFENDER_API_URL", text))
		if err != nil {
			found := problems(t, err)
			if len(found) != 1 || found[0].Variable != "DEFENDER_API_URL" {
				t.Fatalf("%q: got %+v", text, found)
			}
			if len(text) > 40 && strings.Contains(err.Error(), text) {
				t.Fatalf("the error quotes the URL: %v", err)
			}
			return
		}
		u := s.APIURL
		if text == "" {
			return // the cloud's default
		}
		if u.Scheme != "https" || u.Host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" ||
			u.Host != strings.ToLower(u.Host) || strings.HasPrefix(u.Host, ".") {
			t.Fatalf("%q became %q", text, u)
		}
		again, err := settings.ParseCLI(with(onOneMachine(), "DEFENDER_API_URL", u.String()))
		if err != nil || again.APIURL.String() != u.String() {
			t.Fatalf("%q became %q, which became %v, %v", text, u, again.APIURL, err)
		}
	})
}

func FuzzDuration(f *testing.F) {
	for _, seed := range []string{"", "168h", "96h", "7d", "168", "-1h", "1e9h", "9223372036854775807ns",
		"10s", "5s", " 10s", "1h1h", "\x1b[2J", "µs"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for variable, limit := range map[string]struct {
			least, most time.Duration
			of          func(settings.Settings) time.Duration
		}{
			"LOOKBACK": {96 * time.Hour, 180 * 24 * time.Hour,
				func(s settings.Settings) time.Duration { return s.Lookback }},
			"SWEEP_INTERVAL": {5 * time.Second, time.Minute,
				func(s settings.Settings) time.Duration { return s.SweepInterval }},
		} {
			s, err := settings.ParseCLI(with(onOneMachine(), variable, text))
			if err != nil {
				found := problems(t, err)
				if len(found) != 1 || found[0].Variable != variable {
					t.Fatalf("%q: got %+v", text, found)
				}
				continue
			}
			if d := limit.of(s); d < limit.least || d > limit.most {
				t.Fatalf("%s=%q became %v", variable, text, d)
			}
		}
	})
}
