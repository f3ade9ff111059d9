package ratelimit_test

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"packhorse/internal/mde/mdesim"
	"packhorse/internal/ratelimit"
)

// This shows for the whole Transport what TestLimiters shows for the arithmetic. Four workers, each with
// its own clock, call the simulator for most of an hour (its token lasts one hour). The simulator checks
// both kinds of windows, and never answers 429.
func TestTransportAgainstSimulator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const worked = 50 * time.Minute
		sim := mdesim.New(mdesim.Defaults(), time.Now)
		sim.Add(mdesim.Action{
			ID: mdesim.IDOf("action"), MachineID: mdesim.MachineOf("machine"),
			CreatedAt: time.Now().Add(-time.Hour), Steps: mdesim.Succeeding(time.Minute),
			PackageSize: 1 << 12,
		})
		api := sim.API()
		token := askToken(t, api)
		counter := ratelimit.NewMemory()
		stop := time.Now().Add(worked)
		newOwner := owners()
		var all sync.WaitGroup
		for worker := range workers {
			clock := func() time.Time {
				return time.Now().Add(skew * time.Duration(2*worker-workers+1) / (workers - 1))
			}
			wire := &slowly{handler: api, random: rand.New(rand.NewPCG(uint64(worker), 2))}
			transport := ratelimit.NewTransport(wire, counter, packageURI, clock, newOwner, quiet)
			all.Go(func() {
				for time.Now().Before(stop) {
					time.Sleep(callOnce(t, transport, token))
				}
			})
		}
		all.Wait()
		v := sim.Judge().Verdict()
		calls := v.Calls[mdesim.KindPackageURI]
		if v.MostInAnyMinute > 2 || v.MostInAlignedMin > 2 || v.Throttled > 0 {
			t.Errorf("at most %d calls in any minute, %d on the minute, %d answered 429",
				v.MostInAnyMinute, v.MostInAlignedMin, v.Throttled)
		}
		if used := float64(calls) / (2 * worked.Minutes()); used < 0.98 {
			t.Errorf("%d calls in %v: %.1f %% of the budget", calls, worked, 100*used)
		}
	})
}

// callOnce makes one call and returns how long to wait before the next.
func callOnce(t *testing.T, transport http.RoundTripper, token string) time.Duration {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet,
		"https://api.test/api/machineactions/"+mdesim.IDOf("action")+"/getPackageUri", nil)
	if err != nil {
		t.Error(err)
		return time.Hour
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := transport.RoundTrip(req)
	if exhausted, ok := errors.AsType[*ratelimit.ExhaustedError](err); ok {
		return max(time.Millisecond, time.Until(exhausted.RetryAt))
	}
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("got %v, %v", resp, err)
		return time.Hour
	}
	_ = resp.Body.Close()
	return time.Millisecond
}

// slowly delays each request on the way to the handler, and its answer on the way back.
type slowly struct {
	handler http.Handler
	random  *rand.Rand
}

func (s *slowly) RoundTrip(req *http.Request) (*http.Response, error) {
	delay := func() { time.Sleep(time.Duration(40+s.random.IntN(160)) * time.Millisecond) }
	delay()
	recorder := httptest.NewRecorder()
	s.handler.ServeHTTP(recorder, req)
	delay()
	return recorder.Result(), nil
}

// askToken gets an access token of the simulated tenant.
func askToken(t *testing.T, api http.Handler) string {
	t.Helper()
	config := mdesim.Defaults()
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {config.ClientID},
		"client_secret": {config.ClientSecret},
		"scope":         {"https://api.securitycenter.microsoft.com/.default"},
	}
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost,
		"/"+config.TenantID+"/oauth2/v2.0/token", strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	recorder := httptest.NewRecorder()
	api.ServeHTTP(recorder, req)
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(recorder.Body.Bytes(), &answer); err != nil || answer.Token == "" {
		t.Fatalf("get a token: %s, %v", recorder.Body, err)
	}
	return answer.Token
}
