// Package ledgertables describes the two DynamoDB tables, for tests that create them.
//
// The stack's template declares the same tables. No test compares the two.
package ledgertables

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

const (
	// Key is the partition key of both tables, a string; neither has a sort key.
	Key = "pk"

	// DueIndex is the ledger's index of work. It is sparse: an item without Lane is not in it.
	DueIndex = "due"
	// Lane is the index's partition key, a string.
	Lane = "lane"
	// DueAt is the index's sort key, a number: milliseconds since 1970.
	DueAt = "dueAt"

	// TenantIndex is the ledger's index of actions by TenantID and CreatedAt, both strings.
	TenantIndex = "byTenant"
	// TenantID is the index's partition key.
	TenantID = "tenantId"
	// CreatedAt is the index's sort key: RFC 3339, in UTC.
	CreatedAt = "createdAt"
)

// Ledger returns the input that creates a ledger table with the given name.
func Ledger(name string) *dynamodb.CreateTableInput {
	table := Budget(name)
	table.AttributeDefinitions = append(table.AttributeDefinitions,
		attribute(Lane, types.ScalarAttributeTypeS), attribute(DueAt, types.ScalarAttributeTypeN),
		attribute(TenantID, types.ScalarAttributeTypeS), attribute(CreatedAt, types.ScalarAttributeTypeS))
	table.GlobalSecondaryIndexes = []types.GlobalSecondaryIndex{
		index(DueIndex, Lane, DueAt), index(TenantIndex, TenantID, CreatedAt),
	}
	return table
}

// OldLedger is Ledger as it was before it had the index by tenant.
func OldLedger(name string) *dynamodb.CreateTableInput {
	table := Ledger(name)
	table.GlobalSecondaryIndexes = table.GlobalSecondaryIndexes[:1]
	table.AttributeDefinitions = table.AttributeDefinitions[:3]
	return table
}

// Upgrade returns the change that gives an old ledger table the index by tenant, as the template does.
func Upgrade(name string) *dynamodb.UpdateTableInput {
	added := index(TenantIndex, TenantID, CreatedAt)
	return &dynamodb.UpdateTableInput{
		TableName: aws.String(name), AttributeDefinitions: Ledger(name).AttributeDefinitions,
		GlobalSecondaryIndexUpdates: []types.GlobalSecondaryIndexUpdate{{
			Create: &types.CreateGlobalSecondaryIndexAction{
				IndexName: added.IndexName, KeySchema: added.KeySchema, Projection: added.Projection,
			},
		}},
	}
}

func index(name, hash, sort string) types.GlobalSecondaryIndex {
	return types.GlobalSecondaryIndex{
		IndexName:  aws.String(name),
		KeySchema:  []types.KeySchemaElement{key(hash, types.KeyTypeHash), key(sort, types.KeyTypeRange)},
		Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
	}
}

// Budget returns the input that creates a budget table with the given name.
func Budget(name string) *dynamodb.CreateTableInput {
	return &dynamodb.CreateTableInput{
		TableName:            aws.String(name),
		BillingMode:          types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{attribute(Key, types.ScalarAttributeTypeS)},
		KeySchema:            []types.KeySchemaElement{key(Key, types.KeyTypeHash)},
	}
}

func attribute(name string, kind types.ScalarAttributeType) types.AttributeDefinition {
	return types.AttributeDefinition{AttributeName: aws.String(name), AttributeType: kind}
}

func key(name string, kind types.KeyType) types.KeySchemaElement {
	return types.KeySchemaElement{AttributeName: aws.String(name), KeyType: kind}
}
