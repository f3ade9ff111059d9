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

// TestVariables: every variable is described, with its default, and those that the command line does not read
// are marked: it accepts any other value of them.
func TestVariables(t *testing.T) {
	base := map[string]string{
		varTenantID: guidExample, varClientID: guidExample, varClientSecret: "Zq8~canary.Secret-Value_0123456789abcdef",
	}
	fields := reflect.VisibleFields(reflect.TypeFor[Settings]())
	all := Variables()
	if len(all) != len(fields) {
		t.Fatalf("got %d variables, want %d", len(all), len(fields))
	}
	parsed, err := ParseCLI(base)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range all {
		if v.Name != fields[i].Tag.Get("env") || v.Expected == "" || v.Example == "" {
			t.Errorf("got %+v", v)
		}
		if v.Default != "" {
			with := map[string]string{v.Name: v.Default}
			for name, value := range base {
				with[name] = value
			}
			again, err := ParseCLI(with)
			if err != nil || !reflect.DeepEqual(again, parsed) {
				t.Errorf("%s=%s is not the default: %v", v.Name, v.Default, err)
			}
		}
	}
	for _, name := range functionsOnly {
		if _, ok := base[name]; ok {
			t.Errorf("%s is needed on the command line", name)
		}
	}
}
