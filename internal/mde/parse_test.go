package mde_test

import (
	"testing"
	"time"

	"packhorse/internal/mde"
)

func TestParseErrorBody(t *testing.T) {
	for body, want := range map[string]mde.StatusError{
		`{"error":{"code":"NotFound","message":"no\r\nsuch  thing","target":"t"}}`: {
			Code: "NotFound", Message: "no such thing", Target: "t"},
		`{"error":{"code":429,"message":"quota"}}`:          {Code: "429", Message: "quota"},
		`{"error":{"code":"X","message":null}}`:             {Code: "X"},
		`<Error><Code>A</Code><Message>B</Message></Error>`: {Code: "A", Message: "B"},
		"\uFEFF<?xml version=\"1.0\"?><Error><Code>A</Code><Message>B</Message>" +
			"<AuthenticationErrorDetail>C</AuthenticationErrorDetail></Error>": {Code: "A", Message: "B C"},
		`{"message":"Expired token"}`: {Message: `{"message":"Expired token"}`},
		"upstream \xff gone":          {Message: "upstream \uFFFD gone"},
		"":                            {},
	} {
		if got := mde.ParseErrorBody([]byte(body)); *got != want {
			t.Errorf("%s: got %+v, want %+v", body, *got, want)
		}
	}
}

func TestParseRetryAfter(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "60": time.Minute, " 60 ": time.Minute, "-1": 0, "1.5": 0, "soon": 0,
		"2000000000": 24 * time.Hour, "99999999999999999999": 0,
		"Mon, 23 Nov 2026 12:10:00 GMT": 10 * time.Minute, "Mon, 23 Nov 2026 11:00:00 GMT": 0,
		"Fri, 23 Nov 2096 12:00:00 GMT": 24 * time.Hour,
	} {
		if got := mde.ParseRetryAfter(value, noon); got != want {
			t.Errorf("%q: got %v, want %v", value, got, want)
		}
	}
}

func TestParseContentRange(t *testing.T) {
	first, total, err := mde.ParseContentRange("bytes 5-9/10")
	if first != 5 || total != 10 || err != nil {
		t.Errorf("got %d, %d, %v", first, total, err)
	}
	for _, value := range []string{"", "bytes 5-9/*", "bytes */10", "bytes 9-5/10", "bytes 5-10/10",
		"bytes=5-9/10", "bytes 5-9/10, 1", "bytes -5-9/10", "bytes 5-9/99999999999999999999"} {
		if _, _, err := mde.ParseContentRange(value); err == nil {
			t.Errorf("%q is accepted", value)
		}
	}
}
