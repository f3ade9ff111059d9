// Package cloudtest deploys the template, unchanged, to a local cloud and has real functions carry
// packages of the simulated tenant. The tests have the build tag cloud: `make cloud-test`.
package cloudtest
