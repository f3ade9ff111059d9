package cfn_test

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"packhorse/internal/cfn"
)

const small = `
Parameters:
  Name: {Type: String, AllowedPattern: "^[a-z,]*$", Default: ""}
  Days: {Type: Number, MinValue: 1, MaxValue: 9}
Conditions:
  Named: !Not [!Equals [!Ref Name, ""]]
  Long: !Equals [!Ref Days, "9"]
  Both: !And [!Condition Named, !Condition Long]
  Either: !Or [!Condition Named, !Equals [!Ref Days, "1"]]
Rules:
  Together:
    Assertions:
      - Assert: !Or [!Not [!Equals [!Ref Name, "z"]], !Equals [!Ref Days, "2"]]
        AssertDescription: z needs two days
Resources:
  Bucket:
    Type: AWS::S3::Bucket
    DeletionPolicy: Retain
    Properties:
      Days: !Ref Days
      Tag: !If [Named, !Ref Name, !Ref AWS::NoValue]
      List: &list [!GetAtt Bucket.Arn, !Sub "${Bucket.Arn}/${AWS::StackName}", {Fn::If: [Named, a, b]}]
      Again: *list
      Parts: !Split [",", !Sub "x,${Name}"]
      Local: !Sub ["${Here}-${Days}", {Here: !If [Either, e, "-"]}]
      Long: !If [Both, both, !Ref AWS::NoValue]
  Extra:
    Type: AWS::SNS::Topic
    Condition: Named
`

func load(t *testing.T) *cfn.Template {
	t.Helper()
	path := filepath.Join(t.TempDir(), "template.yaml")
	if err := os.WriteFile(path, []byte(small), 0o600); err != nil {
		t.Fatal(err)
	}
	template, err := cfn.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return template
}

func TestDeploy(t *testing.T) {
	stack, err := load(t).Deploy(map[string]string{"Days": "3"})
	if err != nil {
		t.Fatal(err)
	}
	list := []any{"arn:aws:s3:::Bucket", "arn:aws:s3:::Bucket/packhorse", "b"}
	want := cfn.Stack{"Bucket": {
		Type: "AWS::S3::Bucket", DeletionPolicy: "Retain",
		Properties: map[string]any{"Days": "3", "List": list, "Again": list, "Parts": []any{"x", ""}, "Local": "--3"},
	}}
	if !reflect.DeepEqual(stack, want) {
		t.Errorf("got %v, want %v", stack, want)
	}
	stack, err = load(t).Deploy(map[string]string{"Days": "9", "Name": "a,b"})
	if err != nil || stack["Extra"].Type == "" || stack["Bucket"].Properties["Tag"] != "a,b" ||
		stack["Bucket"].Properties["Local"] != "e-9" || stack["Bucket"].Properties["Long"] != "both" {
		t.Errorf("got %v, %v", stack, err)
	}
}

func TestParametersThatAreNotAllowed(t *testing.T) {
	for name, parameters := range map[string]map[string]string{
		"missing": {}, "small": {"Days": "0"}, "large": {"Days": "10"}, "text": {"Days": "x"},
		"pattern": {"Days": "1", "Name": "A"}, "unknown": {"Days": "1", "Other": ""}, "combination": {"Days": "1", "Name": "z"},
	} {
		if stack, err := load(t).Deploy(parameters); err == nil {
			t.Errorf("%s: got %v", name, stack)
		}
	}
}
