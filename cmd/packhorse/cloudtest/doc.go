// Package cloudtest deploys the unchanged template to a local cloud, where real functions archive
// packages of the simulated tenant. The tests have the build tag cloud: `make cloud-test`.
package cloudtest
