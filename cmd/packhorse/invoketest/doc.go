// Package invoketest makes the SAM CLI run both functions in containers, through the Makefile's
// targets. The test has the build tag cloud and needs a container engine: `make cloud-test`.
package invoketest
