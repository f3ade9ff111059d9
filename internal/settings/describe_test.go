package settings

import (
	"reflect"
	"testing"
)

func TestEveryVariableHasAnExpectation(t *testing.T) {
	fields := reflect.VisibleFields(reflect.TypeFor[Settings]())
	for _, field := range fields {
		variable := field.Tag.Get("env")
		e, ok := expectations[variable]
		if !ok || e.text == "" || e.example == "" {
			t.Errorf("%s: got %q and %q", variable, e.text, e.example)
		}
	}
	if len(fields) != len(expectations) {
		t.Errorf("%d variables, %d expectations", len(fields), len(expectations))
	}
}
