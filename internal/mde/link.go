package mde

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"packhorse/internal/investigation"
)

// linkAnswerBytesMax bounds the getPackageUri response: a URL of 2 KiB in a small object.
const linkAnswerBytesMax = 64 << 10

// PackageURI requests a fresh link with one call. The link uses https and points to an allowed
// host; the exchange describes the response that contained it. Errors: *[StatusError] if Defender
// refuses, where 404 means that it does not have the package (yet); *investigation.PostponedError
// if the budget, throttling, the credential, the network or the list of link hosts stands in the
// way. Neither the errors nor the exchange show the link.
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

// parseLinkAnswer extracts the link from a getPackageUri response. The value may be wrapped in an
// extra pair of quotes: every version of the documentation shows them, yet most clients do not
// expect them. Errors show no part of the value.
func parseLinkAnswer(body []byte) (*url.URL, error) {
	var wire struct {
		Value *string `json:"value"`
	}
	if err := json.Unmarshal(body, &wire); err != nil || wire.Value == nil {
		return nil, errors.New("the answer lacks a link: want a JSON object with a value")
	}
	value := strings.TrimSpace(*wire.Value)
	if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
		value = strings.TrimSpace(value[1 : len(value)-1])
	}
	address, err := url.Parse(value)
	if err != nil {
		return nil, errors.New("the answer's value is not a valid URL")
	}
	return address, nil
}

// refusedForm is the message of admit about a host.
var refusedForm = regexp.MustCompile(`the link leads to "([A-Za-z0-9.:\[\]-]{1,100})", which is not among the allowed`)

// RefusedHost finds the host in the message of a package that was postponed because its link leads to a host that
// is not allowed. Messages are stored, the cause is not.
func RefusedHost(message string) (host string, ok bool) {
	parts := refusedForm.FindStringSubmatch(message)
	if parts == nil {
		return "", false
	}
	return parts[1], true
}

// admit checks whether a link, or a download's redirect, may be followed. The error shows only the
// host. An unlisted host postpones instead of failing the package: Microsoft publishes no list of
// its download hosts, and a new host must not cost any packages.
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
