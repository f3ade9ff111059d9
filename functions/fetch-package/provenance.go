package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"packhorse/internal/manifest"
)

// provenanceOf returns what a manifest says of this function and its principal. AWS is asked once for each
// environment: neither changes while one lives.
func provenanceOf(cfg aws.Config) func(context.Context) (manifest.Provenance, error) {
	client := sts.NewFromConfig(cfg)
	var mu sync.Mutex // guards identity
	var identity *sts.GetCallerIdentityOutput
	return func(ctx context.Context) (manifest.Provenance, error) {
		mu.Lock()
		defer mu.Unlock()
		if identity == nil {
			answer, err := client.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
			if err != nil {
				return manifest.Provenance{}, fmt.Errorf("ask AWS who this is (sts:GetCallerIdentity): %w", err)
			}
			identity = answer
		}
		p := manifest.Provenance{
			Version: version, Commit: commit, FunctionVersion: lambdacontext.FunctionVersion,
			Principal: aws.ToString(identity.Arn), Account: aws.ToString(identity.Account),
			Region: cfg.Region,
		}
		if invocation, ok := lambdacontext.FromContext(ctx); ok {
			p.FunctionARN = invocation.InvokedFunctionArn
		}
		return p, nil
	}
}
