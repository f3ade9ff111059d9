package ledger

import (
	"packhorse/internal/investigation"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Encode returns the item of a record.
func Encode(r investigation.Record, version string) map[string]types.AttributeValue {
	it := encode(r)
	it[namePK], it[nameVersion] = text(r.String()), text(version)
	return it
}

// Decode returns the record of an item.
func Decode(it map[string]types.AttributeValue) (investigation.Record, error) {
	v, err := decode(it)
	return v.Record, err
}
