package alarmtest

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"packhorse/internal/ledger"
	"packhorse/internal/ledger/ledgertables"
	"packhorse/internal/localcloud/dynamotest"
	"packhorse/internal/mde/mdesim"
	"packhorse/internal/registry"
	"packhorse/internal/tenant"
)

// customer is the id of a registered tenant, beside the tenant of the function's variables.
const customer = "5e0c7b1a-2f7d-4c57-8f0e-6a1d4b9c3e21"

// register registers the customer, who uses the stack's app and secret, unless change says otherwise.
func (s *site) register(change func(*tenant.Tenant)) *mdesim.Simulator {
	s.t.Helper()
	if s.environ["TENANTS_TABLE"] == "" {
		s.environ["TENANTS_TABLE"] = dynamotest.Table(s.t, ledgertables.Budget(s.name+"-tenants")) // its form is the same
		entry := tenant.New(tenant.Tenant{ID: customer, Name: "Contoso"}, time.Now())
		change(&entry)
		_, err := registry.New(dynamodb.NewFromConfig(s.aws), s.environ["TENANTS_TABLE"]).Put(s.t.Context(), entry)
		if err != nil {
			s.t.Fatal(err)
		}
		s.joined = s.tenant.Join(customer)
	}
	return s.joined
}

func inherits(*tenant.Tenant) {}

// otherApp is an app that the customer's directory does not know.
func (s *site) otherApp(entry *tenant.Tenant) {
	entry.ClientID = "00000000-0000-4000-8000-000000000009"
	entry.Credential = tenant.Credential{Kind: tenant.ClientSecret, SecretID: s.name}
}

func failingTenants() []happening {
	return []happening{
		{"TenantFailingAlarm", "a customer's credential has expired", func(s *site) []datum {
			s.register(inherits).SetFaults(mdesim.Faults{SecretExpired: true})
			return s.tick()
		}},
		{"TenantFailingAlarm", "an entry of the registry is malformed", func(s *site) []datum {
			s.register(inherits)
			_, err := dynamodb.NewFromConfig(s.aws).PutItem(s.t.Context(), &dynamodb.PutItemInput{
				TableName: aws.String(s.environ["TENANTS_TABLE"]), Item: map[string]types.AttributeValue{
					"pk": &types.AttributeValueMemberS{Value: "not a GUID"},
				},
			})
			if err != nil {
				s.t.Fatal(err)
			}
			return s.tick()
		}},
		{"TenantConsentAlarm", "a customer has removed the app", func(s *site) []datum {
			s.register(s.otherApp)
			return s.tick()
		}},
		{"TenantStaleAlarm", "nobody has acted on TenantFailingAlarm", func(s *site) []datum {
			s.register(inherits).SetFaults(mdesim.Faults{SecretExpired: true})
			longAgo := tenant.Health{}.Succeeded(time.Now().Add(-7*time.Hour)).Failed(time.Now().Add(-6*time.Hour), "expired")
			err := ledger.New(dynamodb.NewFromConfig(s.aws), s.name+"-ledger").SetHealth(s.t.Context(), customer, longAgo)
			if err != nil {
				s.t.Fatal(err)
			}
			return s.tick()
		}},
	}
}

// A registered tenant that is well raises no alarm, and one that fails raises none of those that say that nothing
// works: the tick succeeds, and the others are swept.
func TestOneTenantIsNotAll(t *testing.T) {
	stack := deploy(t, map[string]string{"ManyTenants": "true"})
	poll := function{nameOf(stack, "PollFunction"), build(t, "poll"), tickTime}
	quiet := func(numbers []datum, except string) {
		t.Helper()
		for name, alarm := range alarms(t, stack) {
			var periods [][]datum
			for range alarm.periods {
				periods = append(periods, numbers)
			}
			if goesOff := alarm.goesOff(t, periods); goesOff != (name == except) {
				t.Errorf("%s goes off: %t; %v", name, goesOff, numbers)
			}
		}
	}
	s := openSite(t, poll, function{})
	s.register(inherits)
	quiet(s.tick(), "")
	s.joined.SetFaults(mdesim.Faults{SecretExpired: true})
	quiet(s.tick(), "TenantFailingAlarm")
}

// Each line about a tenant says which.
func TestLogsNameTheTenant(t *testing.T) {
	stack := deploy(t, map[string]string{"ManyTenants": "true"})
	s := openSite(t, function{nameOf(stack, "PollFunction"), build(t, "poll"), tickTime}, function{})
	s.register(s.otherApp)
	got := s.poll.invoke(t, s.environ, "{}")
	if got.failed {
		t.Errorf("the tick failed: %s", got.log)
	}
	said := false
	for line := range strings.Lines(got.log) {
		if strings.Contains(line, "AADSTS700016") {
			said = true
			if !strings.Contains(line, customer) {
				t.Errorf("this line does not name the tenant: %s", line)
			}
		}
	}
	if !said {
		t.Errorf("no line says why: %s", got.log)
	}
}
