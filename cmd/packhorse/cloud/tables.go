package cloud

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"packhorse/internal/doctor"
)

func (c *Cloud) table(name string) doctor.Look[doctor.StackTable] {
	return func(ctx context.Context) (doctor.StackTable, error) {
		out, err := c.tables.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &name})
		if err != nil {
			return doctor.StackTable{}, seen(err, "dynamodb:DescribeTable", "the table "+name)
		}
		t := doctor.StackTable{
			Status: string(out.Table.TableStatus), Key: keyNames(out.Table.KeySchema),
			Protected: aws.ToBool(out.Table.DeletionProtectionEnabled),
		}
		for _, index := range out.Table.GlobalSecondaryIndexes {
			status := string(index.IndexStatus)
			if status == "" {
				status = string(types.IndexStatusActive) // a stand-in for AWS says nothing of an index that is there
			}
			t.Indexes = append(t.Indexes, doctor.StackIndex{
				Name: aws.ToString(index.IndexName), Key: "(" + keyNames(index.KeySchema) + ")", Status: status,
			})
		}
		return t, nil
	}
}

func keyNames(schema []types.KeySchemaElement) string {
	var names []string
	for _, part := range schema {
		names = append(names, aws.ToString(part.AttributeName))
	}
	return strings.Join(names, ",")
}

func (c *Cloud) backups(name string) doctor.Look[bool] {
	return func(ctx context.Context) (bool, error) {
		out, err := c.tables.DescribeContinuousBackups(ctx, &dynamodb.DescribeContinuousBackupsInput{TableName: &name})
		if err != nil {
			return false, seen(err, "dynamodb:DescribeContinuousBackups", "the table "+name)
		}
		recovery := out.ContinuousBackupsDescription.PointInTimeRecoveryDescription
		return recovery != nil && recovery.PointInTimeRecoveryStatus == types.PointInTimeRecoveryStatusEnabled, nil
	}
}

func (c *Cloud) ttl(name string) doctor.Look[bool] {
	return func(ctx context.Context) (bool, error) {
		out, err := c.tables.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: &name})
		if err != nil {
			return false, seen(err, "dynamodb:DescribeTimeToLive", "the table "+name)
		}
		status := out.TimeToLiveDescription.TimeToLiveStatus
		return status == types.TimeToLiveStatusEnabled || status == types.TimeToLiveStatusEnabling, nil
	}
}
