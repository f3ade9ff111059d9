package dynamocounter

import (
	"packhorse/internal/ratelimit"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Decode returns the state in an item.
func Decode(it map[string]types.AttributeValue) (ratelimit.State, error) {
	return decode(ratelimit.Budget{Name: "x"}, it)
}
