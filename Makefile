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

# The tools that are written in Python, the stack that `make local-deploy` makes, and the machine it
# runs on: the local cloud starts the functions as plain processes.
VENV := .venv
STACK ?= packhorse
LOCAL_PORT ?= 4566
LOCAL_ARCHITECTURE := $(if $(filter aarch64 arm64,$(shell uname -m)),arm64,x86_64)

# How long each fuzz target runs under `make fuzz`, and how many seeds the simulations try.
FUZZTIME ?= 30s
SEEDS ?= 20000

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: build ## carry packages of a simulated tenant end to end, on this machine (about a minute)
	./bin/packhorse run --simulate $(PACKAGES) --until-idle --data $(DATA)

.PHONY: build
build: ## build ./bin/packhorse
	@cd cmd/packhorse && go build -trimpath -ldflags "-X main.version=$(VERSION)" -o $(CURDIR)/bin/packhorse .

.PHONY: test
test: $(VENV)/.installed ## run every test with the race detector (the DynamoDB ones in the local cloud)
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

.PHONY: kill
kill: ## kill -9 a run ten times at random moments, then compare what it left (about ten minutes)
	cd cmd/packhorse && go test -count=1 -v -tags kill -run TestKilledAtRandom -timeout 20m .

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
	rm -rf bin .aws-sam $(VENV)

$(LINT): tools/go.mod tools/go.sum
	@echo "building golangci-lint (once)"
	@cd tools && go build -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

# --- AWS -------------------------------------------------------------------------------------------

# One virtual environment per tool: their own pins contradict one another (botocore, boto3).
$(VENV)/.installed: tools/requirements.txt
	@rm -rf $(VENV) && mkdir -p $(VENV)/bin
	@grep -vE '^(#|$$)' $< | while read -r requirement; do \
	  name=$${requirement%%[=[]*}; echo "installing $$requirement"; \
	  python3 -m venv $(VENV)/tools/$$name; \
	  $(VENV)/tools/$$name/bin/pip install --quiet --disable-pip-version-check "$$requirement"; \
	done
	@for tool in aws-sam-cli/bin/sam cfn-lint/bin/cfn-lint checkov/bin/checkov \
	  ministack/bin/ministack awscli/bin/aws; do ln -s ../tools/$$tool $(VENV)/bin/; done
	@touch $@

.PHONY: tools
tools: $(VENV)/.installed ## install the AWS tools into .venv (needs Python 3.11 or newer)

# sam build calls these two, by way of tools/build/<architecture>/Makefile, which sets the GOARCH.
GOARCH_FUNCTIONS ?= arm64
define build_function
	CGO_ENABLED=0 GOOS=linux GOARCH=$(GOARCH_FUNCTIONS) go build -tags lambda.norpc -trimpath \
	  -buildvcs=false -ldflags "-s -w -buildid=" -o "$(ARTIFACTS_DIR)/bootstrap" ./functions/$(1)
endef

.PHONY: build-PollFunction
build-PollFunction:
	$(call build_function,poll)

.PHONY: build-FetchPackageFunction
build-FetchPackageFunction:
	$(call build_function,fetch-package)

export SAM_CLI_TELEMETRY := 0
SAM := $(VENV)/bin/sam

.PHONY: validate
validate: $(VENV)/.installed ## check template.yaml (cfn-lint, sam, checkov); needs no account
	@$(VENV)/bin/cfn-lint template.yaml
	@$(SAM) validate --lint --region us-east-1
	@$(VENV)/bin/checkov --file template.yaml --framework cloudformation --quiet --compact --skip-download

.PHONY: cloud-test
cloud-test: $(VENV)/.installed ## deploy two stacks to a local cloud, carry packages, delete them (four minutes)
	cd cmd/packhorse && go test -count=1 -v -tags cloud -timeout 15m ./cloudtest

# make deploy PARAMETERS="DefenderTenantId=… DefenderClientId=…"; without them sam asks.
.PHONY: deploy
deploy: $(VENV)/.installed ## deploy to the AWS account of your environment, as STACK
	$(SAM) build $(if $(PARAMETERS),--parameter-overrides $(PARAMETERS))
	$(SAM) deploy --stack-name $(STACK) $(if $(PARAMETERS),--parameter-overrides $(PARAMETERS),--guided)

# One function in a container, with an event of events/, against what runs on this machine: the local
# cloud, and whatever events/env.json names. Needs Docker.
INVOKE = $(LOCAL_AWS) $(SAM) local invoke $(1) --docker-network host --skip-pull-image --region us-east-1 \
  --parameter-overrides Architecture=$(LOCAL_ARCHITECTURE) \
  AwsEndpointUrl=http://127.0.0.1:$(LOCAL_PORT) $(LOCAL_PARAMETERS)

.PHONY: local-build
local-build: $(VENV)/.installed
	$(SAM) build --parameter-overrides Architecture=$(LOCAL_ARCHITECTURE)

.PHONY: invoke-poll
invoke-poll: local-build ## invoke the poll function in a container (needs Docker)
	$(call INVOKE,PollFunction) -e $(or $(EVENT),events/poll.json) --env-vars $(or $(ENV_VARS),events/env.json)

.PHONY: invoke-fetch-package
invoke-fetch-package: local-build ## invoke the fetch function in a container (needs Docker)
	$(call INVOKE,FetchPackageFunction) -e $(or $(EVENT),events/fetch-package.json) \
	  --env-vars $(or $(ENV_VARS),events/env.json)

# The local cloud stands in for AWS; it checks no credential and keeps no state.
LOCAL_AWS := AWS_ENDPOINT_URL=http://127.0.0.1:$(LOCAL_PORT) AWS_ACCESS_KEY_ID=000000000000 \
  AWS_SECRET_ACCESS_KEY=not-a-secret AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1
LOCAL_PID := .aws-sam/localcloud.pid
# The tenant of `packhorse simulate`, unless told otherwise.
LOCAL_PARAMETERS ?= DefenderTenantId=00000000-0000-4000-8000-000000000001 \
  DefenderClientId=00000000-0000-4000-8000-000000000002

.PHONY: local-up
local-up: $(VENV)/.installed ## start the local cloud on LOCAL_PORT
	@mkdir -p .aws-sam
	@[ ! -e $(LOCAL_PID) ] || { echo "it runs already, or ended without make local-down"; exit 1; }
	@$(LOCAL_AWS) BIND_HOST=127.0.0.1 IOT_MTLS_ENABLED=0 GATEWAY_PORT=$(LOCAL_PORT) \
	  LAMBDA_EXECUTOR=local setsid $(VENV)/bin/ministack >.aws-sam/localcloud.log 2>&1 </dev/null & \
	  echo $$! >$(LOCAL_PID)
	@for _ in $$(seq 100); do \
	  curl -sf http://127.0.0.1:$(LOCAL_PORT)/_ministack/health >/dev/null && exit 0; sleep 0.2; \
	done; cat .aws-sam/localcloud.log; exit 1
	@echo 'the local cloud answers; for the AWS tools: export $(LOCAL_AWS)'

.PHONY: local-deploy
local-deploy: local-build ## deploy the template, unchanged, to the local cloud
	$(LOCAL_AWS) $(SAM) deploy --stack-name $(STACK) --no-confirm-changeset --no-fail-on-empty-changeset \
	  --parameter-overrides Architecture=$(LOCAL_ARCHITECTURE) $(LOCAL_PARAMETERS)

.PHONY: local-down
local-down: ## stop the local cloud; what was in it is gone
	@[ -e $(LOCAL_PID) ] || { echo "it does not run"; exit 0; }; \
	  pid=$$(cat $(LOCAL_PID)); rm $(LOCAL_PID); kill -TERM -- -$$pid 2>/dev/null || true
