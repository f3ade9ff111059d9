package archive

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"packhorse/internal/investigation"
)

// The metadata an object carries, so that after a crash between the commit and the ledger update
// the same manifest can still be made. It is ASCII, as S3 requires, and fits the 2 KB that S3
// allows together with the other metadata: each text of a collection is cut to a safe length.
const (
	metaAction     = "packhorse-action-id"
	metaMachine    = "packhorse-machine-id"
	metaTenant     = "packhorse-tenant-id"
	metaClaim      = "packhorse-claim"  // the owner of the claim that stored it; objects of the first release lack it
	metaSHA256     = "packhorse-sha256" // only if it is known before the first byte is sent
	metaCollection = "packhorse-collection"

	hostMax        = 253 + len(":65535") // bytes of a text in JSON; a DNS name
	tlsMax         = 32
	certificateMax = 64
	idMax          = 128

	// caseTag is the tag that has the case id.
	caseTag = "packhorse-case"
)

// collectionFacts is a collection as metadata. Its field names are short because of the 2 KB, and
// are part of the archive's format.
type collectionFacts struct {
	Attempt  int           `json:"attempt"`
	PartSize int64         `json:"part,omitempty"` // bytes
	Link     exchangeFacts `json:"link,omitzero"`
	Download exchangeFacts `json:"download,omitzero"`
}

type exchangeFacts struct {
	Asked       string `json:"asked,omitempty"` // RFC 3339
	Answered    string `json:"answered,omitempty"`
	Host        string `json:"host,omitempty"`
	TLS         string `json:"tls,omitempty"`
	Certificate string `json:"cert,omitempty"`
	Request     string `json:"request,omitempty"`
	Correlation string `json:"correlation,omitempty"`
}

func factsOf(e investigation.Exchange) exchangeFacts {
	return exchangeFacts{
		Asked:       timeText(e.AskedAt),
		Answered:    timeText(e.AnsweredAt),
		Host:        cutJSON(e.Host, hostMax),
		TLS:         cutJSON(e.TLSVersion, tlsMax),
		Certificate: cutJSON(e.CertificateSHA256, certificateMax),
		Request:     cutJSON(e.RequestID, idMax),
		Correlation: cutJSON(e.CorrelationID, idMax),
	}
}

func (f exchangeFacts) exchange() (investigation.Exchange, error) {
	asked, err := textTime(f.Asked)
	if err != nil {
		return investigation.Exchange{}, err
	}
	answered, err := textTime(f.Answered)
	if err != nil {
		return investigation.Exchange{}, err
	}
	return investigation.Exchange{
		AskedAt: asked, AnsweredAt: answered, Host: f.Host, TLSVersion: f.TLS,
		CertificateSHA256: f.Certificate, RequestID: f.Request, CorrelationID: f.Correlation,
	}, nil
}

// writeCollection returns c as metadata of an object stored in parts of partSize bytes (0: in one
// piece).
func writeCollection(c investigation.Collection, partSize int64) (string, error) {
	text, err := json.Marshal(collectionFacts{
		Attempt: c.Attempt, PartSize: partSize,
		Link: factsOf(c.Link), Download: factsOf(c.Download),
	})
	if err != nil {
		return "", fmt.Errorf("encode the collection as metadata: %w", err)
	}
	return ascii(text), nil
}

// readCollection returns what writeCollection wrote. For the empty text, which objects of an
// earlier version have, it returns the zero Collection.
func readCollection(text string) (c investigation.Collection, partSize int64, err error) {
	if text == "" {
		return investigation.Collection{}, 0, nil
	}
	var facts collectionFacts
	err = json.Unmarshal([]byte(text), &facts)
	if err == nil {
		c.Link, err = facts.Link.exchange()
	}
	if err == nil {
		c.Download, err = facts.Download.exchange()
	}
	if err != nil {
		return investigation.Collection{}, 0, fmt.Errorf("read the metadata %s: %w", metaCollection, err)
	}
	c.Attempt = facts.Attempt
	return c, facts.PartSize, nil
}

// timeText formats a time without its zone and monotonic clock reading; the zero time is "".
func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func textTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("read a time: %w", err)
	}
	return t.UTC(), nil
}

// cutJSON returns the longest prefix of s that takes at most limit bytes in the metadata.
func cutJSON(s string, limit int) string {
	for at, r := range s {
		limit -= jsonLength(r)
		if limit < 0 {
			return s[:at]
		}
	}
	return s
}

// jsonLength returns how many bytes a character takes in ASCII JSON.
func jsonLength(r rune) int {
	switch {
	case r > 0xffff:
		return len(`\uXXXX\uXXXX`)
	case r < ' ' || r >= 0x7f || r == '<' || r == '>' || r == '&':
		return len(`\uXXXX`)
	case r == '"' || r == '\\':
		return len(`\\`)
	default:
		return 1
	}
}

// ascii escapes DEL and all non-ASCII characters in JSON. They occur only in strings.
func ascii(text []byte) string {
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		text = text[n:]
		if r < 0x7f {
			out = append(out, byte(r))
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			out = append(out, `\u`...)
			out = append(out, strconv.FormatUint(0x10000|uint64(unit), 16)[1:]...)
		}
	}
	return string(out)
}

// tagging returns the tags of an action's objects; nil if it has none.
func tagging(action investigation.Action) *string {
	if action.CaseID == "" {
		return nil
	}
	tags := url.Values{caseTag: {action.CaseID}}.Encode()
	return &tags
}
