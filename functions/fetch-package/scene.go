package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"packhorse/internal/custody"
)

// sceneOf returns what a manifest says of this function and its principal. AWS is asked once for each
// environment: neither changes while one lives.
func sceneOf(cfg aws.Config) func(context.Context) (custody.Scene, error) {
	client := sts.NewFromConfig(cfg)
	var mu sync.Mutex // guards identity
	var identity *sts.GetCallerIdentityOutput
	return func(ctx context.Context) (custody.Scene, error) {
		mu.Lock()
		defer mu.Unlock()
		if identity == nil {
			answer, err := client.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
			if err != nil {
				return custody.Scene{}, fmt.Errorf("ask AWS who this is (sts:GetCallerIdentity): %w", err)
			}
			identity = answer
		}
		scene := custody.Scene{
			Version: version, Commit: commit, FunctionVersion: lambdacontext.FunctionVersion,
			Principal: aws.ToString(identity.Arn), Account: aws.ToString(identity.Account),
			Region: cfg.Region,
		}
		if invocation, ok := lambdacontext.FromContext(ctx); ok {
			scene.FunctionARN = invocation.InvokedFunctionArn
		}
		return scene, nil
	}
}
