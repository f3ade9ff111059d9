package mde

import (
	"net/url"
	"time"

	"packhorse/internal/investigation"
)

// What the tests of the parsers and limits need to see.
const (
	PageRows         = pageRows
	PagesMax         = pagesMax
	NameBytesMax     = nameBytesMax
	CommentBytesMax  = commentBytesMax
	MessageBytesMax  = messageBytesMax
	StallTimeout     = stallTimeout
	RedirectsMax     = redirectsMax
	ResumesMax       = resumesMax
	PackageBytesMax  = int64(packageBytesMax)
	CredentialPause  = credentialPause
	UnreachablePause = unreachablePause
	IDBytesMax       = idBytesMax
)

func DecodeRow(tenantID string, raw []byte) (investigation.Action, bool, error) {
	return decodeRow(tenantID, raw)
}

func ParsePage(body []byte) (rows int, nextLink string, err error) {
	p, err := parsePage(body)
	return len(p.rows), p.nextLink, err
}

func Follow(api, current *url.URL, link string) (*url.URL, error) { return follow(api, current, link) }

func ParseLinkAnswer(body []byte) (*url.URL, error) { return parseLinkAnswer(body) }

func ParseErrorBody(body []byte) *StatusError { return parseErrorBody(body) }

func ParseRetryAfter(value string, now time.Time) time.Duration { return parseRetryAfter(value, now) }

func ParseContentRange(value string) (first, total int64, err error) { return parseContentRange(value) }

func ParseTime(s string) (time.Time, error) { return parseTime(s) }

func LinkHostsAllow(entries []string, address string) (bool, error) {
	hosts, err := parseLinkHosts(entries)
	if err != nil {
		return false, err
	}
	u, err := url.Parse(address)
	if err != nil {
		return false, err
	}
	return hosts.allow(u), nil
}
