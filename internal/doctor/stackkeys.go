package doctor

import "time"

func keyChecks(p StackPorts, w StackWanted) []Check {
	const gone = "restore what it signed or encrypted from elsewhere: a deleted key does not come back; deploy a new one"
	return []Check{
		{
			Name: "key", Area: areaKeys, Looks: "whether the key that encrypts the evidence is enabled",
			Run: seeing(p.Key, gone, func(k StackKey) Finding {
				return judgeKey(k, w.KeyARN, "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
			}),
		},
		{
			Name: "key.policy", Area: areaKeys, Looks: "whether the key's policy lets nobody disable or delete it",
			Run: seeing(p.KeyPolicy, "", func(text string) Finding {
				return w.judgePolicy(text, w.keyStatements(false), keyCommand(w.KeyARN))
			}),
		},
		{
			Name: "key.rotation", Area: areaKeys, After: []string{"key"}, Looks: "whether AWS rotates the key every year",
			Run: seeing(p.KeyRotation, "", func(on bool) Finding {
				if on {
					return Good("on")
				}
				return Warn(paste("turn it on", "aws kms enable-key-rotation --key-id %s", shell(w.KeyARN)), "off")
			}),
		},
		{
			Name: "signing", Area: areaKeys, Looks: "whether the key that signs the manifests is enabled",
			Run: seeing(p.SigningKey, gone, func(k StackKey) Finding {
				return judgeKey(k, w.SigningKeyARN, "ECC_NIST_P256", "SIGN_VERIFY")
			}),
		},
		{
			Name: "signing.policy", Area: areaKeys,
			Looks: "whether the signing key's policy lets only the fetch function sign",
			Run: seeing(p.SigningKeyPolicy, "", func(text string) Finding {
				return w.judgePolicy(text, w.keyStatements(true), keyCommand(w.SigningKeyARN))
			}),
		},
	}
}

func judgeKey(k StackKey, arn, spec, usage string) Finding {
	enable := "aws kms enable-key --key-id " + shell(arn)
	switch {
	case k.Spec != spec || k.Usage != usage:
		return Fail("deploy with the stack's own key", "%s is %s for %s, not %s for %s", arn, k.Spec, k.Usage, spec, usage)
	case k.State == "PendingDeletion":
		return Fail("keep it: aws kms cancel-key-deletion --key-id "+shell(arn)+" && "+enable, "%s will be deleted on %s",
			arn, k.DeletedAt.UTC().Format(time.DateOnly))
	case k.State == "Disabled":
		return Fail("enable it: "+enable, "%s is disabled", arn)
	case k.State != "Enabled":
		return Fail(paste("read more", "aws kms describe-key --key-id %s", shell(arn)), "%s is %s", arn, k.State)
	default:
		return Good("%s, %s", arn, k.Spec)
	}
}

func keyCommand(arn string) func(policy string) string {
	return func(policy string) string {
		return "aws kms put-key-policy --key-id " + shell(arn) + " --policy-name default --policy " + shell(policy)
	}
}
