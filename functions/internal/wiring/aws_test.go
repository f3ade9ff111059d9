package wiring

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// lambdaSets are the variables that Lambda gives every function.
var lambdaSets = map[string]string{
	"AWS_REGION": "eu-north-1", "AWS_DEFAULT_REGION": "eu-north-1", "AWS_ACCESS_KEY_ID": "ASIAEXAMPLE",
	"AWS_SECRET_ACCESS_KEY": "example", "AWS_SESSION_TOKEN": "token", "AWS_EXECUTION_ENV": "AWS_Lambda_provided.al2023",
	"AWS_LAMBDA_FUNCTION_NAME": "packhorse-poll",
}

// onlyThese clears all variables of the SDK and sets these and Lambda's.
func onlyThese(t *testing.T, more map[string]string) {
	t.Helper()
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "") // restored afterwards
			_ = os.Unsetenv(name)
		}
	}
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	for _, set := range []map[string]string{lambdaSets, more} {
		for name, value := range set {
			t.Setenv(name, value)
		}
	}
}

// What a function gets from its environment is what the SDK's own loader would return there, in every field,
// including those that a later version of the SDK adds.
func TestConfigurationIsTheSDKs(t *testing.T) {
	differ := []string{ // compared below, or nothing that an option of the loader could have set
		"Credentials", "ConfigSources", "Logger", "Interceptors",
	}
	for name, more := range map[string]map[string]string{
		"on Lambda":       nil,
		"the local cloud": {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566", "AWS_ENDPOINT_URL_STS": "http://127.0.0.1:1"},
		"retries":         {"AWS_MAX_ATTEMPTS": "7", "AWS_RETRY_MODE": "adaptive", "AWS_SDK_UA_APP_ID": "me"},
	} {
		t.Run(name, func(t *testing.T) {
			onlyThese(t, more)
			want, err := config.LoadDefaultConfig(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got, err := awsConfig()
			if err != nil {
				t.Fatal(err)
			}
			for _, field := range reflect.VisibleFields(reflect.TypeFor[aws.Config]()) {
				g, w := reflect.ValueOf(got).FieldByIndex(field.Index), reflect.ValueOf(want).FieldByIndex(field.Index)
				if !slices.Contains(differ, field.Name) && !reflect.DeepEqual(g.Interface(), w.Interface()) {
					t.Errorf("%s is %+v, want %+v", field.Name, g, w)
				}
			}
			gotKeys, gotErr := got.Credentials.Retrieve(t.Context())
			wantKeys, wantErr := want.Credentials.Retrieve(t.Context())
			if gotErr != nil || wantErr != nil || gotKeys != wantKeys {
				t.Errorf("got the keys %+v, %v, want %+v, %v", gotKeys, gotErr, wantKeys, wantErr)
			}
			if g, w := sts.NewFromConfig(got).Options().BaseEndpoint, sts.NewFromConfig(want).Options().BaseEndpoint; aws.ToString(g) != aws.ToString(w) {
				t.Errorf("STS is at %s, want %s", aws.ToString(g), aws.ToString(w))
			}
		})
	}
}

func TestConfigurationWithoutKeys(t *testing.T) {
	onlyThese(t, map[string]string{"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""})
	_, err := awsConfig()
	if err == nil || !strings.Contains(err.Error(), "does the function have a role?") {
		t.Errorf("got %v", err)
	}
}
