package mde

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"packhorse/internal/investigation"
)

// linkAnswerBytesMax bounds the answer of getPackageUri: a URL of 2 KiB in a small object.
const linkAnswerBytesMax = 64 << 10

// PackageURI asks for a fresh link, with one request. The link is https and leads to an allowed
// host; the exchange is that of the answer that had it. Errors: *[StatusError] for what Defender
// refuses, 404 meaning that it has no package for the action (or not yet);
// *investigation.PostponedError where the budget, the throttle, the credential, the network or the
// list of link hosts stands in the way. None shows the link, and neither does the exchange.
func (c *Client) PackageURI(ctx context.Context, actionID string) (
	investigation.Link, investigation.Exchange, error,
) {
	link, exchange, err := c.packageURI(ctx, actionID)
	if err != nil {
		return investigation.Link{}, investigation.Exchange{}, fmt.Errorf("ask for the link: %w", err)
	}
	return link, exchange, nil
}

func (c *Client) packageURI(ctx context.Context, actionID string) (
	investigation.Link, investigation.Exchange, error,
) {
	none := investigation.Exchange{}
	id, err := investigation.CanonicalID(actionID)
	if err != nil {
		return investigation.Link{}, none, err
	}
	var body []byte
	exchange, err := c.call(ctx, c.linker, c.api("machineactions", id, "getPackageUri"),
		keepAtMost(&body, linkAnswerBytesMax))
	if err != nil {
		return investigation.Link{}, none, err
	}
	address, err := parseLinkAnswer(body)
	if err != nil {
		return investigation.Link{}, none, err
	}
	err = c.admit(address)
	if err != nil {
		return investigation.Link{}, none, err
	}
	return investigation.NewLink(address.String()), exchange, nil
}

// parseLinkAnswer finds the link in the answer of getPackageUri. The value's text may hold a pair
// of quotes of its own: every version of the documentation shows them, most clients do without.
// Errors show nothing of the value.
func parseLinkAnswer(body []byte) (*url.URL, error) {
	var wire struct {
		Value *string `json:"value"`
	}
	if err := json.Unmarshal(body, &wire); err != nil || wire.Value == nil {
		return nil, errors.New("the answer has no link: a JSON object with a value is expected")
	}
	value := strings.TrimSpace(*wire.Value)
	if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
		value = strings.TrimSpace(value[1 : len(value)-1])
	}
	address, err := url.Parse(value)
	if err != nil {
		return nil, errors.New("the answer's value is no URL")
	}
	return address, nil
}

// admit reports whether a link, or a redirect of a download, may be followed. The error names the
// host and nothing else. A host that is not listed is a matter of settings, not of the package:
// Microsoft documents no list of its download hosts, and one must not lose packages to a new one.
func (c *Client) admit(address *url.URL) error {
	switch {
	case address.Scheme != "https":
		return errors.New("the link is not an https address")
	case address.Host == "" || address.User != nil:
		return errors.New("the link is not a plain https address")
	case !c.hosts.Admits(address):
		return &investigation.PostponedError{
			RetryAt: c.now().Add(credentialPause),
			Err: investigation.Because(investigation.CauseLinkHost,
				fmt.Errorf("the link leads to %.100q, which is not among the allowed link hosts"+
					" (DEFENDER_LINK_HOSTS)", address.Host)),
		}
	default:
		return nil
	}
}
