// Package registry keeps the registry of tenants in DynamoDB: one item per tenant, in a table of its own.
//
// The partition key "pk" is the tenant's id. Every other attribute is a string named after a field of
// tenant.Tenant, and "version" names the write that made the item. A write is conditional on the version that
// the writer has read, and leaves attributes alone that it does not know. All entries are read with one Scan, whose
// answer may be a second old; one entry is read consistently.
package registry

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"packhorse/internal/dynamo"
	"packhorse/internal/tenant"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

const (
	namePK      = "pk"
	nameVersion = "version"

	// versionLength is enough for a name that nobody else picks.
	versionLength = 16

	// attemptsMax is how often the SDK sends one operation, and operationTimeout bounds them all together. A scan
	// takes one operation per megabyte.
	attemptsMax      = 4
	backoffMax       = 250 * time.Millisecond
	operationTimeout = 10 * time.Second
)

type item = map[string]types.AttributeValue

// Registry is the registry in one table. It is safe for concurrent use.
type Registry struct {
	client *dynamodb.Client
	table  string
	tuning func(*dynamodb.Options)
}

// New returns the registry stored in the table.
func New(client *dynamodb.Client, table string) *Registry {
	retryer := retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = attemptsMax
		o.MaxBackoff = backoffMax
	})
	return &Registry{client: client, table: table, tuning: func(o *dynamodb.Options) { o.Retryer = retryer }}
}

// List returns every valid entry, in order of the ids. Its error names malformed entries, beside which the others are
// returned.
func (r *Registry) List(ctx context.Context) ([]tenant.Tenant, error) {
	var all []tenant.Tenant
	var bad []error
	pages := dynamodb.NewScanPaginator(r.client, &dynamodb.ScanInput{TableName: aws.String(r.table)})
	for pages.HasMorePages() {
		page, err := r.page(ctx, pages)
		if err != nil {
			return nil, fmt.Errorf("list the tenants: %w", err)
		}
		for _, it := range page.Items {
			t, err := decode(it)
			if err != nil {
				bad = append(bad, err)
				continue
			}
			all = append(all, t)
		}
	}
	slices.SortFunc(all, func(a, b tenant.Tenant) int { return cmp.Compare(a.ID, b.ID) })
	return all, errors.Join(bad...)
}

func (r *Registry) page(ctx context.Context, pages *dynamodb.ScanPaginator) (*dynamodb.ScanOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	page, err := pages.NextPage(ctx, r.tuning)
	if err != nil {
		return nil, r.explain("scan", err)
	}
	return page, nil
}

// Get returns the entry of a tenant, or the zero Tenant if it is not registered.
func (r *Registry) Get(ctx context.Context, id string) (tenant.Tenant, error) {
	t, err := r.get(ctx, id)
	if err != nil {
		return tenant.Tenant{}, fmt.Errorf("read tenant %s: %w", id, err)
	}
	return t, nil
}

func (r *Registry) get(ctx context.Context, id string) (tenant.Tenant, error) {
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	out, err := r.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: aws.String(r.table), Key: keyOf(id), ConsistentRead: aws.Bool(true),
	}, r.tuning)
	if err != nil {
		return tenant.Tenant{}, r.explain("read the item in", err)
	}
	if len(out.Item) == 0 {
		return tenant.Tenant{}, nil
	}
	return decode(out.Item)
}

// Put stores an entry over the version that it carries, and returns it with its new version. Stored attributes that it
// does not know stay.
func (r *Registry) Put(ctx context.Context, t tenant.Tenant) (tenant.Tenant, error) {
	stored, err := r.put(ctx, t)
	if err != nil {
		return tenant.Tenant{}, fmt.Errorf("write tenant %s: %w", t.ID, err)
	}
	return stored, nil
}

func (r *Registry) put(ctx context.Context, t tenant.Tenant) (tenant.Tenant, error) {
	err := t.Validate()
	if err != nil {
		return tenant.Tenant{}, err
	}
	was := t.Version
	t.Version = rand.Text()[:versionLength]
	u := updateOf(t, was)
	call, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	_, err = r.client.UpdateItem(call, &dynamodb.UpdateItemInput{
		TableName: aws.String(r.table), Key: keyOf(t.ID),
		UpdateExpression: aws.String(u.change), ConditionExpression: aws.String(u.condition),
		ExpressionAttributeNames: u.names, ExpressionAttributeValues: u.values,
	}, r.tuning)
	if _, refused := errors.AsType[*types.ConditionalCheckFailedException](err); refused {
		return t, r.unless(ctx, t.ID, func(current tenant.Tenant) bool { return current.Version == t.Version })
	}
	if err != nil {
		return tenant.Tenant{}, r.explain("write the item in", err)
	}
	return t, nil
}

// unless returns a conflict, unless the entry, as it is now, shows that the refused call was the second attempt at one
// that took effect.
func (r *Registry) unless(ctx context.Context, id string, tookEffect func(current tenant.Tenant) bool) error {
	current, err := r.get(ctx, id)
	if err == nil && tookEffect(current) {
		return nil
	}
	return errors.Join(tenant.ErrConflict, ctx.Err())
}

// Delete removes an entry that still has the version it carries. One that was removed already is no conflict.
func (r *Registry) Delete(ctx context.Context, t tenant.Tenant) error {
	call, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	_, err := r.client.DeleteItem(call, &dynamodb.DeleteItemInput{
		TableName: aws.String(r.table), Key: keyOf(t.ID),
		ConditionExpression:       aws.String("#version = :was"),
		ExpressionAttributeNames:  map[string]string{"#version": nameVersion},
		ExpressionAttributeValues: item{":was": text(t.Version)},
	}, r.tuning)
	if _, refused := errors.AsType[*types.ConditionalCheckFailedException](err); refused {
		err = r.unless(ctx, t.ID, func(current tenant.Tenant) bool { return current.ID == "" && t.Version != "" })
	} else if err != nil {
		err = r.explain("delete the item in", err)
	}
	if err != nil {
		return fmt.Errorf("remove tenant %s: %w", t.ID, err)
	}
	return nil
}

// update is a conditional write.
type update struct {
	change, condition string
	names             map[string]string
	values            item
}

// updateOf returns the write that replaces version was. Only the attributes of the fields are set or removed.
func updateOf(t tenant.Tenant, was string) update {
	u := update{names: map[string]string{"#v": nameVersion}, values: item{":v": text(t.Version)}}
	u.condition = "#v = :was"
	if was == "" {
		u.condition = "attribute_not_exists(#pk)"
		u.names["#pk"] = namePK
	} else {
		u.values[":was"] = text(was)
	}
	sets, removes := []string{"#v = :v"}, []string(nil)
	fields := t.Fields()
	for i, name := range tenant.FieldNames() {
		alias := fmt.Sprintf("f%d", i) // a field's name contains characters that an expression may not
		u.names["#"+alias] = name
		value, set := fields[name]
		if !set {
			removes = append(removes, "#"+alias)
			continue
		}
		u.values[":"+alias] = text(value)
		sets = append(sets, "#"+alias+" = :"+alias)
	}
	u.change = "SET " + strings.Join(sets, ", ")
	if len(removes) > 0 {
		u.change += " REMOVE " + strings.Join(removes, ", ")
	}
	return u
}

// decode returns the entry stored in an item. Errors wrap tenant.ErrInvalid and name the tenant.
func decode(it item) (tenant.Tenant, error) {
	fields := map[string]string{}
	var strange []string
	for _, name := range append(tenant.FieldNames(), namePK, nameVersion) {
		switch value := it[name].(type) {
		case nil:
		case *types.AttributeValueMemberS:
			fields[name] = value.Value
		default:
			strange = append(strange, name)
		}
	}
	if len(strange) > 0 {
		return tenant.Tenant{}, fmt.Errorf("the registry's entry of tenant %.64q: not a string: %s: %w", fields[namePK],
			strings.Join(strange, ", "), tenant.ErrInvalid)
	}
	return tenant.Stored(fields[namePK], fields[nameVersion], fields)
}

func keyOf(id string) item { return item{namePK: text(id)} }

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

// about describes the registry's table for the advice in errors.
var about = dynamo.Table{
	Variable: "TENANTS_TABLE",
	Needs: "dynamodb:GetItem and Scan on the table, and the use of its key; changing it also needs UpdateItem " +
		"and DeleteItem",
	Keys: "has the table the partition key \"pk\"?",
}

// explain adds advice to an SDK error.
func (r *Registry) explain(what string, err error) error {
	return fmt.Errorf("%s table %s: %w%s", what, r.table, err, about.Advice(err))
}
