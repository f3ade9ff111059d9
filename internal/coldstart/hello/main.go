// Command hello is the least a Go Lambda function can be: what Packhorse's functions are measured
// against.
package main

import (
	"context"

	"github.com/aws/aws-lambda-go/lambda"
)

func main() {
	lambda.Start(func(context.Context) (string, error) { return "hello", nil })
}
