package cfn_test

import (
	"maps"
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
Mappings:
  Colors:
    a,b: {Hex: "010203"}
    z: {Hex: "ffffff"}
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
  Role:
    Type: AWS::IAM::Role
    Condition: Long
    Properties:
      RoleName: !Sub "${AWS::StackName}-role"
  Function:
    Type: AWS::Serverless::Function
    Condition: Long
    Properties:
      Environment: {Variables: {DAYS: "more", MINE: !Ref Name}}
Globals:
  Function:
    Environment: {Variables: {DAYS: !Ref Days, COLOR: blue}}
Outputs:
  Always: {Value: !Ref Days}
  Named: {Condition: Named, Value: !Sub "#${Role.Arn}"}
  Color: {Condition: Both, Value: !FindInMap [Colors, !Ref Name, Hex]}
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

func TestVariablesOfAllFunctions(t *testing.T) {
	stack, err := load(t).Deploy(map[string]string{"Days": "9", "Name": "z,"})
	want := map[string]any{"Variables": map[string]any{"DAYS": "more", "MINE": "z,", "COLOR": "blue"}}
	if got := stack["Function"].Properties["Environment"]; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

func TestOutputs(t *testing.T) {
	for _, test := range []struct{ parameters, want map[string]string }{
		{map[string]string{"Days": "3"}, map[string]string{"Always": "3"}},
		{map[string]string{"Days": "9", "Name": "a,b"}, map[string]string{
			"Always": "9", "Named": "#arn:aws:iam::123456789012:role/packhorse-role", "Color": "010203",
		}},
	} {
		got, err := load(t).Outputs(test.parameters)
		if err != nil || !maps.Equal(got, test.want) {
			t.Errorf("got %v, %v, want %v", got, err, test.want)
		}
	}
	if got, err := load(t).Outputs(map[string]string{"Days": "9", "Name": "c"}); err == nil {
		t.Errorf("got %v without a value in the mapping", got)
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
