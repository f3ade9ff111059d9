# One gate, run alike by a person and by CI: `make check test`.
#
# The workspace file is for editors. Every target builds each module with the graph it ships with,
# so that what is tested is what is deployed.
export GOWORK := off

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

MODULES := . cmd/packhorse
LINT := $(CURDIR)/bin/golangci-lint
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

# The data folder of `make run`: packages, ledger and budget outlive the process.
DATA ?= packhorse-data
# How many actions the simulated tenant of `make run` has.
PACKAGES ?= 4
# How long each fuzz target runs under `make fuzz`, and how many seeds the simulations try.
FUZZTIME ?= 30s
SEEDS ?= 20000

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: build ## carry packages of a simulated tenant end to end, on this machine (about a minute)
	./bin/packhorse run --simulate $(PACKAGES) --until-idle --data $(DATA)

.PHONY: build
build: ## build ./bin/packhorse
	@cd cmd/packhorse && go build -trimpath -ldflags "-X main.version=$(VERSION)" -o $(CURDIR)/bin/packhorse .

.PHONY: test
test: ## run every test with the race detector
	@start=$$SECONDS; \
	for module in $(MODULES); do echo "== go test -race $$module"; (cd $$module && go test -race ./...); done; \
	echo "make test: green in $$((SECONDS - start)) s"

.PHONY: check
check: $(LINT) ## format, vet, lint, import rules, tidy modules: silent when green
	@start=$$SECONDS; \
	for module in $(MODULES); do \
	  (cd $$module && go vet ./... && $(LINT) run --config $(CURDIR)/.golangci.yml ./... && go mod tidy -diff); \
	done; \
	(cd tools && go mod tidy -diff); \
	leaks=$$(go list -deps ./internal/poll ./internal/fetch ./internal/investigation ./internal/ratelimit | grep -E 'aws-sdk-go-v2|azure-sdk' || true); \
	[ -z "$$leaks" ] || { echo "the core must not reach an SDK:"; echo "$$leaks"; exit 1; }; \
	echo "make check: green in $$((SECONDS - start)) s"

.PHONY: fmt
fmt: $(LINT) ## format the code
	@for module in $(MODULES); do (cd $$module && $(LINT) fmt --config $(CURDIR)/.golangci.yml ./...); done

.PHONY: fuzz
fuzz: ## fuzz every parser of foreign bytes, and simulate with many seeds
	PACKHORSE_SEEDS=$(SEEDS) go test -count=1 -timeout 60m ./internal/ratelimit/...
	@for module in $(MODULES); do (cd $$module; \
	  grep -rlE '^func Fuzz' --include='*_test.go' . | sort | while read -r file; do \
	    grep -oE '^func Fuzz[A-Za-z0-9_]+' "$$file" | cut -d' ' -f2 | while read -r target; do \
	      echo "== $$(dirname $$file) $$target"; \
	      go test -run='^$$' -fuzz="^$$target$$" -fuzztime=$(FUZZTIME) "$$(dirname $$file)"; \
	    done; \
	  done); \
	done

.PHONY: bench
bench: ## measure the archive: throughput, memory, CPU
	cd cmd/packhorse && go test -run='^$$' -bench=. -benchtime=1x ./embedded/...
	go test -run='^$$' -bench=. ./internal/...

.PHONY: vuln
vuln: ## look the dependencies up in the Go vulnerability database (needs the network)
	cd tools && go build -o $(CURDIR)/bin/govulncheck golang.org/x/vuln/cmd/govulncheck
	@for module in $(MODULES); do (cd $$module && $(CURDIR)/bin/govulncheck ./...); done

.PHONY: clean
clean: ## remove what the targets made; the data folder stays
	rm -rf bin

$(LINT): tools/go.mod tools/go.sum
	@echo "building golangci-lint (once)"
	@cd tools && go build -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
