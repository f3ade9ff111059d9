package mde_test

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"packhorse/internal/mde"
)

func FuzzParsePage(f *testing.F) {
	for _, seed := range []string{
		`{"value":[]}`, `{"value":[{"id":1},null,"x"],"@odata.nextLink":"https://x/y"}`,
		`{"@odata.count":1,"VALUE":[[[[]]]]}`, `[]`, `{"value":{}}`, "\xef\xbb\xbf{}", "",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		rows, next, err := mde.ParsePage(bytes.NewReader(body))
		// encoding/json decides what counts as a page. The two may differ if a name appears twice, and
		// here a page with a bad row still counts.
		lists, links := 0, 0
		for _, name := range namesIn(body) {
			if strings.EqualFold(name, "value") {
				lists++
			}
			if strings.EqualFold(name, "@odata.nextLink") {
				links++
			}
		}
		if !json.Valid(body) || lists > 1 || links > 1 {
			return
		}
		var want struct {
			Value    *[]json.RawMessage `json:"value"`
			NextLink *string            `json:"@odata.nextLink"`
		}
		isPage := json.Unmarshal(body, &want) == nil && want.Value != nil
		if isPage != (err == nil) {
			t.Fatalf("%s: got %v; encoding/json accepts it as a page: %t", body, err, isPage)
		}
		if !isPage {
			return
		}
		if want.NextLink == nil {
			want.NextLink = new(string)
		}
		if rows != len(*want.Value) || next != *want.NextLink {
			t.Errorf("%s: got %d rows and %q, want %d and %q", body, rows, next, len(*want.Value),
				*want.NextLink)
		}
	})
}

// namesIn returns the names of an object as far as it parses.
func namesIn(object []byte) []string {
	in := json.NewDecoder(bytes.NewReader(object))
	var names []string
	_, err := in.Token()
	for err == nil && in.More() {
		var name json.Token
		name, err = in.Token()
		text, isText := name.(string)
		if err != nil || !isText {
			break
		}
		names = append(names, text)
		err = in.Decode(new(json.RawMessage))
	}
	return names
}

func FuzzFollow(f *testing.F) {
	const origin = "https://api.security.microsoft.com"
	for _, seed := range []string{
		origin + "/api/machineactions?$skip=1", "?$skip=1", "/api/x", "//evil.example/api/x",
		origin + "@evil.example/api/", origin + ".evil.example/api/", "https:api/x", "/api/../x",
		"/api/%2e%2e/x", "\\\\evil.example\\api", "HTTPS://API.security.microsoft.com:443/api/x",
	} {
		f.Add(seed)
	}
	api, err := url.Parse(origin + "/api")
	if err != nil {
		f.Fatal(err)
	}
	current := api.JoinPath("machineactions")
	f.Fuzz(func(t *testing.T, link string) {
		next, err := mde.Follow(api, current, link)
		if err != nil {
			return
		}
		// Check the URL as the transport will parse it.
		again, err := url.Parse(next.String())
		if err != nil {
			return // cannot be sent
		}
		if again.Scheme != "https" || again.User != nil ||
			!strings.EqualFold(again.Hostname(), api.Hostname()) ||
			(again.Port() != "" && again.Port() != "443") ||
			!strings.HasPrefix(again.Path, "/api/") || strings.Contains(again.Path, "/../") {
			t.Errorf("%q leads to %s", link, again)
		}
	})
}

func FuzzDecodeRow(f *testing.F) {
	const whole = `{"id":"` + action + `","type":"CollectInvestigationPackage","machineId":"` +
		machine + `","creationDateTimeUtc":"2026-11-23T12:00:00.1234567Z","status":"Pending"`
	for _, seed := range []string{
		whole + `}`, whole + `,"requestorComment":"\ud800","lastUpdateTimeUtc":7}`,
		whole + `,"computerDnsName":null,"requestor":{"a":[]}}`, `{"type":"Isolate"}`, `null`, `"x"`,
		`{"type":"CollectInvestigationPackage","id":"` + link + `"}`, "{\"type\":\"\xff\"}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, ok, err := mde.DecodeRow(tenant, raw)
		switch {
		case err != nil:
			if ok && a.Validate() != nil {
				t.Error("accepted an invalid action")
			}
			if text := err.Error(); len(text) > 4*mde.MessageBytesMax || !utf8.ValidString(text) ||
				strings.ContainsAny(text, "\r\n") {
				t.Errorf("error too long or not on one line: %q", text)
			}
		case ok:
			if err := a.Validate(); err != nil {
				t.Errorf("accepted an invalid action: %v", err)
			}
			for name, s := range map[string]string{
				"name": a.ComputerDNSName, "requestor": a.Requestor, "comment": a.RequestorComment,
				"source": a.RequestSource, "status": string(a.Status),
			} {
				if len(s) > mde.CommentBytesMax || !utf8.ValidString(s) {
					t.Errorf("%s of %d bytes, valid %t", name, len(s), utf8.ValidString(s))
				}
			}
		}
	})
}

func FuzzParseTime(f *testing.F) {
	for _, seed := range []string{"2026-11-23T12:00:00Z", "2026-11-23T12:00:00.1234567",
		"0001-01-01T00:00:00Z", "2026-11-23T12:00:00+14:00", "", "9999-12-31T23:59:59.9999999Z"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := mde.ParseTime(s)
		if err == nil && got.Location() != time.UTC {
			t.Errorf("%q is in %v", s, got.Location())
		}
		if err != nil && len(err.Error()) > 500 {
			t.Errorf("error too long: %v", err)
		}
	})
}

func FuzzParseLinkAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"value":"` + link + `"}`, `{"value":"\"` + link + `\""}`, `{"value":null}`, `{"value":7}`,
		`{"value":"\""}`, `{"value":"https://[x"}`, `"` + link + `"`, "", `{"value":"\u0000"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		_, err := mde.ParseLinkAnswer(body)
		if err == nil {
			return
		}
		// Any part of the response may have been the link, so the error must be one of a few fixed
		// sentences.
		if strings.Contains(err.Error(), secret) || len(err.Error()) > 100 {
			t.Errorf("the error shows the answer: %v", err)
		}
	})
}

func FuzzParseErrorBody(f *testing.F) {
	for _, seed := range []string{
		`{"error":{"code":"ResourceNotFound","message":"Machine was not found","target":"43f4cb08"}}`,
		`{"error":{"code":429,"message":{"value":"x"}}}`, `{"error":"x"}`, `{"message":"Expired token"}`,
		`<?xml version="1.0"?><Error><Code>A</Code><Message>B</Message></Error>`, "<html>", "\xff\x00",
		`see ` + link, `token=` + secret, `eyJhbGciOiJub25lIn0.eyJ4IjoxfQ.`, "0https://0",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		e := mde.ParseErrorBody(body)
		for _, s := range []string{e.Code, e.Message, e.Target} {
			lower := strings.ToLower(s)
			if len(s) > mde.MessageBytesMax || !utf8.ValidString(s) || strings.ContainsAny(s, "\r\n\x00") {
				t.Errorf("text too long or not on one line: %q", s)
			}
			if strings.Contains(lower, "https://") || strings.Contains(lower, "https%3a%2f%2f") {
				t.Errorf("the text shows a link: %q", s)
			}
		}
	})
}

func FuzzParseRetryAfter(f *testing.F) {
	for _, seed := range []string{"0", "60", " 60 ", "-1", "1.5", "99999999999999999999", "soon",
		"Mon, 23 Nov 2026 12:10:00 GMT", "Monday, 23-Nov-26 12:10:00 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if got := mde.ParseRetryAfter(value, noon); got < 0 || got > 24*time.Hour {
			t.Errorf("%q: %v", value, got)
		}
	})
}

func FuzzParseContentRange(f *testing.F) {
	for _, seed := range []string{"bytes 0-9/10", "bytes 5-9/*", "bytes */10", "bytes 9-5/10",
		"bytes 0-10/10", "bytes 0-9/10 ", "bits 0-9/10", "bytes 99999999999999999999-1/2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		first, total, err := mde.ParseContentRange(value)
		if err == nil && (first < 0 || first >= total) {
			t.Errorf("%q: %d of %d", value, first, total)
		}
	})
}
