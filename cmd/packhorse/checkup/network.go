package checkup

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"packhorse/internal/doctor"
)

// answerTimeout bounds the request to one host.
const answerTimeout = 15 * time.Second

// network asks hosts whether they are there.
type network struct {
	transport *http.Transport
	now       func() time.Time
	shared    *sharedAnswers // nil if nobody else asks
}

// Hosts lets many tenants share connections, and what hosts answered: most have the same ones. The zero Hosts is ready to
// use, and is safe for concurrent use.
type Hosts struct {
	mu       sync.Mutex // guards networks
	networks map[string]network
}

// of returns the network of those who trust these root certificates, beside the usual ones.
func (h *Hosts) of(pem string, made network) network {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.networks == nil {
		h.networks = map[string]network{}
	}
	one, ok := h.networks[pem]
	if !ok {
		one = made
		one.shared = &sharedAnswers{looks: map[string]doctor.Look[doctor.Answer]{}}
		h.networks[pem] = one
	}
	return one
}

// sharedAnswers has what hosts answered.
type sharedAnswers struct {
	mu    sync.Mutex // guards looks
	looks map[string]doctor.Look[doctor.Answer]
}

// of returns what a host answered, or asks it. An interruption of the one who asks is one of all who wait.
func (s *sharedAnswers) of(ctx context.Context, host string, ask doctor.Look[doctor.Answer]) doctor.Answer {
	s.mu.Lock()
	look, ok := s.looks[host]
	if !ok {
		look = once(ask)
		s.looks[host] = look
	}
	s.mu.Unlock()
	answer, _ := look(ctx) // what failed is in the answer
	return answer
}

// ask asks a host, or returns what it answered to others.
func (n network) ask(ctx context.Context, host *url.URL, variable string) doctor.Answer {
	if n.shared == nil {
		return n.send(ctx, host, variable)
	}
	answer := n.shared.of(ctx, host.Host, func(ctx context.Context) (doctor.Answer, error) {
		return n.send(ctx, host, variable), nil
	})
	answer.Variable = variable
	return answer
}

// send sends a request for the host's root, without a credential. Any answer will do.
func (n network) send(ctx context.Context, host *url.URL, variable string) doctor.Answer {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	answer := doctor.Answer{Host: hostOf(host), Variable: variable}
	root := url.URL{Scheme: "https", Host: host.Host, Path: "/"}
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, root.String(), http.NoBody)
	if err != nil {
		answer.Err = err
		return answer
	}
	if n.transport.Proxy != nil {
		proxy, err := n.transport.Proxy(req)
		if err == nil && proxy != nil {
			answer.Proxy = proxy.Host
		}
	}
	sent := n.now()
	resp, err := n.transport.RoundTrip(req)
	if err != nil {
		answer.Err = err
		if ctx.Err() != nil {
			answer.Err = context.Cause(ctx)
		}
		return answer
	}
	answer.Took = n.now().Sub(sent)
	answer.At = sent.Add(answer.Took / 2)
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<10)) // a HEAD has no body, but a proxy may send one
	_ = resp.Body.Close()
	answer.ServerAt, err = http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		answer.ServerAt = time.Time{}
	}
	return answer
}

// look is ask as a Look that asks once.
func (n network) look(host *url.URL, variable string) doctor.Look[doctor.Answer] {
	return once(func(ctx context.Context) (doctor.Answer, error) {
		answer := n.ask(ctx, host, variable)
		if errors.Is(answer.Err, context.Canceled) {
			return answer, answer.Err
		}
		return answer, nil
	})
}

// links asks the link hosts that are whole names, side by side.
func (n network) links(hosts []string) doctor.Look[[]doctor.Answer] {
	return once(func(ctx context.Context) ([]doctor.Answer, error) {
		var whole []*url.URL
		for _, host := range hosts {
			if !strings.HasPrefix(host, ".") {
				whole = append(whole, &url.URL{Scheme: "https", Host: host})
			}
		}
		answers := make([]doctor.Answer, len(whole))
		var all sync.WaitGroup
		for i, host := range whole {
			all.Go(func() { answers[i] = n.ask(ctx, host, variableLinks) })
		}
		all.Wait()
		return answers, ctx.Err()
	})
}

// hostOf returns a URL's host, with its port unless that is 443.
func hostOf(u *url.URL) string { return strings.TrimSuffix(u.Host, ":443") }

// once makes a Look that looks the first time only.
func once[T any](look doctor.Look[T]) doctor.Look[T] {
	var first sync.Once
	var value T
	var err error
	return func(ctx context.Context) (T, error) {
		first.Do(func() { value, err = look(ctx) })
		return value, err
	}
}
