package doctor

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// statement is a statement of a resource's policy. Its fields stay as JSON has them, because AWS accepts a
// value and a list of one value alike.
type statement map[string]any

const (
	fieldSid       = "Sid"
	fieldEffect    = "Effect"
	fieldPrincipal = "Principal"
	fieldAction    = "Action"
	fieldResource  = "Resource"
	fieldCondition = "Condition"
)

// bucketDenials are the statements of the bucket's policy in template.yaml. A test compares the two.
func (w StackWanted) bucketDenials() []statement {
	bucket := "arn:" + w.Partition + ":s3:::" + w.Bucket
	objects := bucket + "/*"
	deny := func(sid string, action, resource any, condition map[string]any) statement {
		s := statement{
			fieldSid: sid, fieldEffect: "Deny", fieldPrincipal: "*", fieldAction: action, fieldResource: resource,
		}
		if condition != nil {
			s[fieldCondition] = condition
		}
		return s
	}
	writers := append([]string{w.FetchRole}, w.Writers...)
	return []statement{
		deny("OnlyTLS", "s3:*", []string{bucket, objects},
			map[string]any{"Bool": map[string]any{"aws:SecureTransport": "false"}}),
		deny("OnlyTLS12OrNewer", "s3:*", []string{bucket, objects},
			map[string]any{"NumericLessThan": map[string]any{"s3:TlsVersion": "1.2"}}),
		deny("NeverOverwrite", "s3:PutObject", objects, map[string]any{
			"Null": map[string]any{"s3:if-none-match": "true"},
			"Bool": map[string]any{"s3:ObjectCreationOperation": "true"},
		}),
		deny("OnlyTheFunctionWrites", []string{
			"s3:PutObject*", "s3:DeleteObjectTagging", "s3:DeleteObjectVersionTagging", "s3:ReplicateObject",
			"s3:ReplicateDelete", "s3:ReplicateTags", "s3:ObjectOwnerOverrideToBucketOwner",
		}, objects, except(writers...)),
		deny("OnlyBreakGlassBypassesTheLock", "s3:BypassGovernanceRetention", objects, w.exceptBreakGlass()),
	}
}

// keyStatements are the statements of a key's policy in template.yaml. What they allow counts too: without it
// nobody could administer the key, or nobody sign.
func (w StackWanted) keyStatements(signing bool) []statement {
	says := func(sid, effect, principal string, action any, condition map[string]any) statement {
		s := statement{
			fieldSid: sid, fieldEffect: effect, fieldPrincipal: map[string]any{"AWS": principal}, fieldAction: action,
			fieldResource: "*",
		}
		if condition != nil {
			s[fieldCondition] = condition
		}
		return s
	}
	all := []statement{
		says("TheAccountDecides", "Allow", "arn:"+w.Partition+":iam::"+w.Account+":root", "kms:*", nil),
		says("OnlyBreakGlassTakesTheKeyAway", "Deny", "*",
			[]string{"kms:ScheduleKeyDeletion", "kms:DisableKey", "kms:DeleteImportedKeyMaterial"}, w.exceptBreakGlass()),
	}
	if signing {
		all = append(all, says("SignManifests", "Allow", w.FetchRole, []string{"kms:GetPublicKey", "kms:Sign"}, nil),
			says("OnlyTheFunctionSigns", "Deny", "*", "kms:Sign", except(w.FetchRole)))
	}
	return all
}

func except(principals ...string) map[string]any {
	return map[string]any{"ArnNotEquals": map[string]any{"aws:PrincipalArn": principals}}
}

func (w StackWanted) exceptBreakGlass() map[string]any {
	if w.BreakGlass == "" {
		return nil
	}
	return except(w.BreakGlass)
}

// judgePolicy checks that a policy has every statement of the template. Others are none of its business: a denial
// outweighs whatever they allow. command sets a policy.
func (w StackWanted) judgePolicy(text string, wanted []statement, command func(policy string) string) Finding {
	var policy struct{ Statement []statement }
	if err := json.Unmarshal([]byte(text), &policy); err != nil {
		return Fail("put it back: "+command(w.policyText(wanted)), "the policy cannot be read: %v", err)
	}
	var wrong []string
	for _, want := range wanted {
		if !slices.ContainsFunc(policy.Statement, want.same) {
			wrong = append(wrong, fmt.Sprint(want[fieldSid]))
		}
	}
	if len(wrong) == 0 {
		return Good("has all %d statements of the template", len(wanted))
	}
	mended := slices.DeleteFunc(policy.Statement, func(s statement) bool {
		return slices.ContainsFunc(wanted, func(d statement) bool { return d[fieldSid] == s[fieldSid] })
	})
	return Fail("put it back: "+command(w.policyText(append(mended, wanted...))),
		"the policy lacks the template's %s", strings.Join(wrong, ", "))
}

func (w StackWanted) policyText(statements []statement) string {
	return compact(map[string]any{"Version": "2012-10-17", "Statement": statements})
}

// same reports whether both statements mean the same.
func (s statement) same(other statement) bool {
	return reflect.DeepEqual(s.plain(), other.plain())
}

// plain returns s in one form of the many that AWS accepts, without its name.
func (s statement) plain() map[string]any {
	plain := map[string]any{fieldEffect: s[fieldEffect]}
	for name, value := range s {
		switch name {
		case fieldSid, fieldEffect:
		case fieldPrincipal:
			plain[name] = plainPrincipal(value)
		case fieldCondition:
			plain[name] = plainCondition(value)
		default:
			plain[name] = list(value)
		}
	}
	return plain
}

func plainPrincipal(value any) any {
	kinds, ok := value.(map[string]any)
	if !ok {
		return map[string][]string{"AWS": list(value)} // "*" is everybody, like {"AWS": "*"}
	}
	plain := map[string][]string{}
	for kind, principals := range kinds {
		plain[kind] = list(principals)
	}
	return plain
}

func plainCondition(value any) any {
	operators, ok := value.(map[string]any)
	if !ok {
		return value
	}
	plain := map[string]map[string][]string{}
	for operator, keys := range operators {
		plain[operator] = map[string][]string{}
		keys, _ := keys.(map[string]any)
		for key, values := range keys {
			plain[operator][strings.ToLower(key)] = list(values)
		}
	}
	return plain
}

// list returns one or several values, sorted.
func list(value any) []string {
	var all []string
	switch value := value.(type) {
	case []string:
		all = slices.Clone(value)
	case []any:
		for _, one := range value {
			all = append(all, fmt.Sprint(one))
		}
	default:
		all = []string{fmt.Sprint(value)}
	}
	slices.Sort(all)
	return all
}

// compact writes a value that has a JSON form, on one line and without escaping what HTML would.
func compact(value any) string {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic("doctor: " + err.Error())
	}
	return strings.TrimSpace(text.String())
}

// sameJSON reports whether both texts are JSON of the same value.
func sameJSON(a, b string) bool {
	var left, right any
	return json.Unmarshal([]byte(a), &left) == nil && json.Unmarshal([]byte(b), &right) == nil &&
		reflect.DeepEqual(left, right)
}
