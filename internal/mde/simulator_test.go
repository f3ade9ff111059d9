package mde_test

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"packhorse/internal/entra"
	"packhorse/internal/investigation"
	"packhorse/internal/mde"
	"packhorse/internal/mde/mdesim"
	"packhorse/internal/ratelimit"
)

// startSimulator returns a simulator and a client for it, wired as in a program.
func startSimulator(t *testing.T, config mdesim.Config) (*mdesim.Server, *mde.Client) {
	t.Helper()
	sim, err := mdesim.Start(t.Context(), config, time.Now, "127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(sim.CAPEM)
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.TLSClientConfig.RootCAs = roots
	t.Cleanup(func() {
		base.CloseIdleConnections()
		if err := sim.Close(); err != nil {
			t.Error(err)
		}
	})
	source := entra.NewTokenSource(entra.Application{
		TenantID: config.TenantID, ClientID: config.ClientID, AuthorityURL: sim.APIURL,
		Scope: "https://api.securitycenter.microsoft.com/.default",
	}, entra.NewClientSecret(entra.Text(config.ClientSecret), "here"), base, time.Now)
	api, err := url.Parse(sim.APIURL)
	if err != nil {
		t.Fatal(err)
	}
	via := entra.NewTransport(ratelimit.FreshConnections(base), source, api)
	client, err := mde.New(api, config.TenantID, via, via, base, []string{sim.DownloadHost}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return sim, client
}

// unlimited is a tenant whose limits do not matter to the test.
func unlimited() mdesim.Config {
	config := mdesim.Defaults()
	config.PackageURILimits = mdesim.Limits{PerMinute: 1000, PerHour: 10_000}
	config.ListLimits = mdesim.Limits{PerMinute: 1000, PerHour: 10_000}
	return config
}

func simulated(n int, size int64) mdesim.Action {
	return mdesim.Action{
		ID: mdesim.IDOf("action", n), MachineID: mdesim.MachineOf("machine", n),
		ComputerDNSName: "pc.contoso.com", Requestor: "a@contoso.com", Comment: "why",
		CreatedAt: time.Now().Add(-time.Hour).Add(time.Duration(n) * time.Second),
		Steps:     mdesim.Succeeding(time.Minute), PackageSize: size, PackageSeed: uint64(n),
	}
}

// checkJudge fails if the simulator saw a broken rule.
func checkJudge(t *testing.T, sim *mdesim.Server) {
	t.Helper()
	v := sim.Judge().Verdict()
	if len(v.BrokenRules) > 0 || v.Leaks > 0 {
		t.Errorf("%d leaks, broken rules: %q", v.Leaks, v.BrokenRules)
	}
}

func TestSimulatedListing(t *testing.T) {
	for name, faults := range map[string]mdesim.Faults{
		"good day":           {},
		"pages":              {PageSize: 3},
		"pages without link": {PageSize: 3, NoNextLink: true},
		"old names":          {OldNames: true},
		"senseless rows":     {SenselessRows: true, PageSize: 3},
	} {
		t.Run(name, func(t *testing.T) {
			sim, client := startSimulator(t, unlimited())
			sim.SetFaults(faults)
			var want []string
			for n := range 10 {
				a := simulated(n, 1<<10)
				sim.Add(a)
				want = append(want, a.ID)
			}
			for _, a := range mdesim.OtherActions(1, time.Now()) {
				sim.Add(a)
			}
			actions, skipped, err := client.ListAll(t.Context(), time.Now().Add(-24*time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(want)
			if got := idsOf(actions); !slices.Equal(got, want) {
				t.Errorf("got %d actions, want %d", len(got), len(want))
			}
			if (len(skipped) > 0) != faults.SenselessRows {
				t.Errorf("skipped %v", skipped)
			}
			for _, a := range actions {
				if a.Status != investigation.StatusSucceeded || a.LastUpdatedAt.IsZero() {
					t.Errorf("got %+v", a)
				}
			}
			got, err := client.Get(t.Context(), want[0])
			if err != nil || got.ActionID != want[0] {
				t.Errorf("get: %+v, %v", got, err)
			}
			checkJudge(t, sim)
		})
	}
}

func TestSimulatedDownloads(t *testing.T) {
	for _, tt := range []struct {
		way     mdesim.Download
		whole   bool
		openErr bool
		expired bool
	}{
		{way: mdesim.DownloadPlain, whole: true},
		{way: mdesim.DownloadChunked, whole: true},
		{way: mdesim.DownloadNoRange, whole: true},
		{way: mdesim.DownloadCut, whole: true}, // resumed
		{way: mdesim.DownloadRedirected, whole: true},
		{way: mdesim.DownloadCutNoRange},
		{way: mdesim.DownloadNothing, openErr: true, expired: true},
		{way: mdesim.DownloadExpiredJSON, openErr: true, expired: true},
		{way: mdesim.DownloadExpiredXML, openErr: true, expired: true},
		{way: mdesim.DownloadElsewhere, openErr: true},
		{way: mdesim.DownloadError, openErr: true},
	} {
		t.Run("way="+string(tt.way), func(t *testing.T) {
			t.Parallel()
			sim, client := startSimulator(t, unlimited())
			a := simulated(1, 300_000)
			sim.Add(a)
			sim.SetFaults(mdesim.Faults{QuotedLinks: true, Created: true,
				Downloads: map[string][]mdesim.Download{"": {tt.way}}})
			link, _, err := client.PackageURI(t.Context(), a.ID)
			if err != nil {
				t.Fatal(err)
			}
			pkg, err := client.Open(t.Context(), link)
			if err == nil {
				hash := sha256.New()
				var n int64
				n, err = io.Copy(hash, pkg.Body)
				size, sum := sim.Package(a.ID)
				if whole := n == size && hex.EncodeToString(hash.Sum(nil)) == sum; whole != tt.whole {
					t.Errorf("got %d bytes of %d, %v; whole: want %t", n, size, err, tt.whole)
				}
				if tt.openErr {
					t.Error("the download was opened")
				}
				_ = pkg.Body.Close()
			} else if !tt.openErr {
				t.Errorf("open: %v", err)
			}
			if (err == nil) != tt.whole || errors.Is(err, investigation.ErrLinkExpired) != tt.expired {
				t.Errorf("got %v, expired: want %t", err, tt.expired)
			}
			for _, secret := range append(sim.Links(), "safedownload") {
				if err != nil && strings.Contains(fmt.Sprintf("%v %#v", err, err), secret) {
					t.Errorf("the error shows the link: %v", err)
				}
			}
			checkJudge(t, sim)
		})
	}
}

func TestSimulatedRefusals(t *testing.T) {
	config := unlimited()
	config.PackageURILimits = mdesim.Limits{PerMinute: 1, PerHour: 100}
	sim, client := startSimulator(t, config)
	a := simulated(1, 1<<10)
	sim.Add(a)
	_, err := client.Get(t.Context(), mdesim.IDOf("nobody"))
	if refused, ok := errors.AsType[*mde.StatusError](err); !ok || refused.Status != http.StatusNotFound {
		t.Errorf("got %v, want a 404", err)
	}
	if _, _, err := client.PackageURI(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	_, _, err = client.PackageURI(t.Context(), a.ID)
	postponed, ok := errors.AsType[*investigation.PostponedError](err)
	if !ok || time.Until(postponed.RetryAt) < 50*time.Second {
		t.Errorf("got %v, want it postponed for a minute", err)
	}
}

func TestSimulatedCredentials(t *testing.T) {
	for name, tt := range map[string]struct {
		faults mdesim.Faults
		code   int
		says   string
	}{
		"expired":         {mdesim.Faults{SecretExpired: true}, 7000222, "create a new one"},
		"nothing granted": {mdesim.Faults{TokenWithoutRoles: true}, 0, "Machine.ReadWrite.All"},
	} {
		t.Run(name, func(t *testing.T) {
			sim, client := startSimulator(t, unlimited())
			sim.SetFaults(tt.faults)
			_, _, err := client.ListAll(t.Context(), time.Now().Add(-time.Hour))
			if _, ok := errors.AsType[*investigation.PostponedError](err); !ok {
				t.Errorf("got %v, want a postponed error", err)
			}
			refused, ok := errors.AsType[*entra.Error](err)
			if !ok || refused.Code != tt.code || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want AADSTS%d and %q", err, tt.code, tt.says)
			}
			if v := sim.Judge().Verdict(); v.Calls[mdesim.KindList] != 0 {
				t.Errorf("%d list calls were made without a token", v.Calls[mdesim.KindList])
			}
		})
	}
	t.Run("role missing", func(t *testing.T) {
		config := unlimited()
		config.Roles = []string{"Machine.Isolate"}
		_, client := startSimulator(t, config)
		_, _, err := client.ListAll(t.Context(), time.Now().Add(-time.Hour))
		if _, ok := errors.AsType[*investigation.PostponedError](err); !ok ||
			!strings.Contains(err.Error(), "Machine.Isolate") {
			t.Errorf("got %v, want it postponed with Defender's words", err)
		}
	})
}
