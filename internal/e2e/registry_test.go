package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"packhorse/internal/cfn"
)

// TestRegistryIsOptional: a stack of one tenant has none, and no permission that belongs to it.
func TestRegistryIsOptional(t *testing.T) {
	stack := deploy(t, nil)
	if _, made := stack["TenantsTable"]; made {
		t.Error("a stack of one tenant has a registry")
	}
	for _, role := range []string{thePoller, theFunction} {
		for _, s := range identityOf(t, stack, role) {
			if slices.Contains(s.actions, "dynamodb:Scan") || strings.Contains(strings.Join(s.resources, " "), "Tenants") {
				t.Errorf("%s may %v on %v", role, s.actions, s.resources)
			}
		}
	}
	for name, parameters := range map[string]map[string]string{
		"no tenant and no registry": {"DefenderTenantId": "", "DefenderClientId": ""},
		"a tenant without an app":   {"DefenderClientId": "", "ManyTenants": "true"},
	} {
		if _, err := tryDeploy(t, parameters); err == nil {
			t.Errorf("%s can be deployed", name)
		}
	}
}

// TestWhoReadsTheRegistry: the poller reads all of it, the fetcher one entry, and nobody writes.
func TestWhoReadsTheRegistry(t *testing.T) {
	account := []statement{{ // a table and a secret are the account's to give
		effect: "Allow", principal: map[string]any{"AWS": theRoot}, actions: []string{"*"}, resources: []string{"*"},
	}}
	for _, parameters := range []map[string]string{
		{"ManyTenants": "true"},
		{"ManyTenants": "true", "DefenderTenantId": "", "DefenderClientId": ""},
		{"ManyTenants": "true", "DefenderTenantId": ""}, // one app for all
	} {
		stack := deploy(t, parameters)
		if fmt.Sprint(stack["TenantsTable"].Properties["DeletionProtectionEnabled"]) != "true" {
			t.Error("the registry is not protected from deletion")
		}
		arn := "arn:aws:any:" + cfn.Region + ":" + cfn.Account + ":TenantsTable"
		secret := "arn:aws:secretsmanager:" + cfn.Region + ":" + cfn.Account + ":secret:TenantsTable/x"
		for _, p := range []struct {
			role, action, resource string
			want                   bool
		}{
			{thePoller, "dynamodb:Scan", arn, true},
			{thePoller, "dynamodb:GetItem", arn, false},
			{theFunction, "dynamodb:GetItem", arn, true},
			{theFunction, "dynamodb:Scan", arn, false},
			{thePoller, "dynamodb:UpdateItem", arn, false},
			{theFunction, "dynamodb:UpdateItem", arn, false},
			{theFunction, "dynamodb:DeleteItem", arn, false},
			{thePoller, "secretsmanager:GetSecretValue", secret, true},
			{theFunction, "secretsmanager:GetSecretValue", secret, true},
			{theFunction, "secretsmanager:PutSecretValue", secret, false},
			{theFunction, "secretsmanager:GetSecretValue", strings.Replace(secret, "Tenants", "Others", 1), false},
		} {
			got := allowed(t, account, identityOf(t, stack, p.role), request{principal: p.role, action: p.action, resource: p.resource})
			if got != p.want {
				t.Errorf("%v: %s %s on %s: got %t", parameters, p.role, p.action, p.resource, got)
			}
		}
	}
}
