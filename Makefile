# One gate, for people and CI alike: `make check test`.
#
# The workspace file is for editors. Every target builds each module with its own dependency graph, so
# the tests run the code that is deployed.
export GOWORK := off

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

MODULES := . cmd/packhorse
LINT := $(CURDIR)/bin/golangci-lint
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
COMMIT_TIME ?= $(shell TZ=UTC git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd 2>/dev/null || echo unknown)

# The data folder of `make run`, a simulation. Packages, ledger and budget outlive the process.
DATA ?= packhorse-simulation
# How many actions the simulated tenant of `make run` has.
PACKAGES ?= 4

# The folder of the Python tools, the name and port of the stack of `make local-deploy`, and the
# architecture of this machine: the local cloud starts the functions as plain processes.
VENV := .venv
STACK ?= packhorse
LOCAL_PORT ?= 4566
LOCAL_ARCHITECTURE := $(if $(filter aarch64 arm64,$(shell uname -m)),arm64,x86_64)

# How long `make fuzz` runs each fuzz target, and how many seeds its simulations try.
FUZZTIME ?= 30s
SEEDS ?= 20000

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: build ## archive packages of a simulated tenant end to end, on this machine (about a minute)
	./bin/packhorse run --simulate $(PACKAGES) --until-idle --data $(DATA)

.PHONY: build
build: ## build ./bin/packhorse
	@cd cmd/packhorse && go build -trimpath -ldflags "-X main.version=$(VERSION) -X main.commit=$(COMMIT) \
	  -X main.commitTime=$(COMMIT_TIME)" -o $(CURDIR)/bin/packhorse .

# Man pages and completions have the date of the commit: the same source gives the same files.
MANUALS ?= bin/manuals
.PHONY: manuals
manuals: build ## write man pages and shell completions to bin/manuals
	@rm -rf $(MANUALS) && ./bin/packhorse man $(MANUALS)

# What the commands show, on terminals of two sizes: the real program, about two minutes. Look at the diff.
.PHONY: captures
captures: build ## run the commands in pseudo terminals, and write what they show to docs/captures
	@cd cmd/packhorse && go run -trimpath ./captures -program $(CURDIR)/bin/packhorse -o $(CURDIR)/docs/captures

# FULL prints the packages of a module whose tests are larger without the race detector.
FULL = grep -rl '"packhorse/internal/racing"' --include='*_test.go' --exclude-dir=cmd . | xargs dirname | sort -u

# The local cloud mostly waits (deploying, the budget's minute), so it runs beside the other tests. The tests that
# use internal/racing run in full only without the race detector. A process with it waits a second at its end,
# unless told otherwise.
.PHONY: test
test: $(VENV)/.installed ## run every test: with the race detector, and the functions in the local cloud
	@start=$$SECONDS; failed=; log=$$(mktemp); trap 'rm -f "$$log"' EXIT; \
	$(MAKE) --no-print-directory cloud-test >"$$log" 2>&1 & cloud=$$!; \
	for module in $(MODULES); do echo "== go test -race $$module"; \
	  (cd $$module && GORACE=atexit_sleep_ms=50 go test -race -ldflags=-w ./...) || failed=$$module; \
	  echo "== go test $$module, in full"; \
	  (cd $$module && go test $$($(FULL))) || failed=$$module; done; \
	echo "== the local cloud"; wait $$cloud || failed=cloud; cat "$$log"; \
	[ -z "$$failed" ] || { echo "make test: failed in $$((SECONDS - start)) s"; exit 1; }; \
	echo "make test: green in $$((SECONDS - start)) s"

# Nouns and use cases reach nothing: no SDK, and only the budget's transport knows HTTP.
CORE := $(addprefix ./internal/,investigation tenant zipinspect manifest event poll fetch verify doctor status)

.PHONY: check
check: $(LINT) ## format, vet, lint, import rules, tidy modules: silent when green
	@start=$$SECONDS; \
	for module in $(MODULES); do \
	  (cd $$module && go vet ./... && $(LINT) run --allow-parallel-runners --config $(CURDIR)/.golangci.yml ./... && go mod tidy -diff); \
	done; \
	(cd tools && go mod tidy -diff); \
	leaks=$$({ go list -deps $(CORE) ./internal/ratelimit | grep -E 'aws-sdk-go-v2|aws-lambda-go|azure-sdk'; \
	  go list -deps $(CORE) | grep -x net/http; } || true); \
	[ -z "$$leaks" ] || { echo "the core must not depend on:"; echo "$$leaks"; exit 1; }; \
	echo "make check: green in $$((SECONDS - start)) s"

.PHONY: fmt
fmt: $(LINT) ## format the code
	@for module in $(MODULES); do (cd $$module && $(LINT) fmt --config $(CURDIR)/.golangci.yml ./...); done

.PHONY: fuzz
fuzz: ## fuzz every parser of untrusted bytes, and simulate with many seeds
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
kill: ## kill -9 a run ten times at random moments, then check what is left (about ten minutes)
	cd cmd/packhorse && go test -count=1 -v -tags kill -run TestKilledAtRandom -timeout 20m .

.PHONY: bench
bench: ## measure archiving and verifying: throughput, memory, CPU
	cd cmd/packhorse && go test -run='^$$' -bench=. -benchtime=1x ./embedded/...
	cd cmd/packhorse && go test -run='^$$' -bench=. ./source/... ./export/...
	go test -run='^$$' -bench=. ./internal/...

.PHONY: vuln
vuln: ## check the dependencies against the Go vulnerability database (needs the network)
	cd tools && go build -o $(CURDIR)/bin/govulncheck golang.org/x/vuln/cmd/govulncheck
	@for module in $(MODULES); do (cd $$module && $(CURDIR)/bin/govulncheck ./...); done

.PHONY: clean
clean: ## remove everything the targets built; the data folder stays
	rm -rf bin .aws-sam $(VENV)

$(LINT): tools/go.mod tools/go.sum
	@echo "building golangci-lint (once)"
	@cd tools && go build -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

# --- AWS -------------------------------------------------------------------------------------------

# One virtual environment per tool, because their pins conflict (botocore, boto3). Each tool has a lock,
# tools/python/<tool>/requirements.txt, with every package it needs and the SHA-256 of its files. Only
# wheels are installed: to build anything else, pip would fetch a build tool that no lock covers.
PYTHON ?= python3
PYTHON_TOOLS := aws-sam-cli cfn-lint checkov ministack awscli
define install_python_tool
$(PYTHON) -m venv --clear $(VENV)/tools/$(1); \
$(VENV)/tools/$(1)/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
  --only-binary :all: --requirement tools/python/$(1)/requirements.txt; \
$(VENV)/tools/$(1)/bin/pip --quiet check
endef

$(VENV)/.installed: $(PYTHON_TOOLS:%=tools/python/%/requirements.txt)
	@rm -rf $(VENV) && mkdir -p $(VENV)/bin
	@for name in $(PYTHON_TOOLS); do echo "installing $$name"; $(call install_python_tool,$$name); done
	@for tool in aws-sam-cli/bin/sam cfn-lint/bin/cfn-lint checkov/bin/checkov \
	  ministack/bin/ministack awscli/bin/aws; do ln -s ../tools/$$tool $(VENV)/bin/; done
	@touch $@

.PHONY: tools
tools: $(VENV)/.installed ## install the AWS tools into .venv (needs Python 3.11 or newer)

# The oldest supported Python makes the locks: newer ones can install everything it can. pip-compile
# keeps a pin as long as it satisfies requirements.in; LOCK_FLAGS=--upgrade takes the newest of everything.
LOCK_PYTHON ?= python3.11
.PHONY: lock
lock: PYTHON := $(LOCK_PYTHON)
lock: ## lock the Python tools again, after a change to tools/python/*/requirements.in
	@$(call install_python_tool,pip-tools)
	@for name in pip-tools $(PYTHON_TOOLS); do echo "locking $$name"; \
	  (cd tools/python/$$name && $(CURDIR)/$(VENV)/tools/pip-tools/bin/pip-compile --quiet \
	    --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-find-links \
	    $(LOCK_FLAGS) requirements.in); \
	done

# sam build calls these two through tools/build/<architecture>/Makefile, which sets the GOARCH. VERSION
# and COMMIT are linked in because a manifest names the software that made it; the same commit gives the
# same bytes. Git works here only because sam builds in the source (samconfig.toml): its copies lack .git.
GOARCH_FUNCTIONS ?= arm64
define build_function
	CGO_ENABLED=0 GOOS=linux GOARCH=$(GOARCH_FUNCTIONS) go build -tags lambda.norpc -trimpath \
	  -buildvcs=false -ldflags "-s -w -buildid= -X main.version=$(VERSION) -X main.commit=$(COMMIT)" \
	  -o "$(ARTIFACTS_DIR)/bootstrap" ./functions/$(1)
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

# Both tests run at once, because they mostly wait for the schedule and the budget. They share one build of the functions.
CLOUD_TEST_DIR := $(CURDIR)/.aws-sam/cloud-test
.PHONY: cloud-test
cloud-test: $(VENV)/.installed build ## deploy two stacks to a local cloud, invoke in containers, archive packages
	@tests=./cloudtest; \
	if $(LOCAL) docker >/dev/null; then tests="$$tests ./invoketest"; \
	else echo "NO CONTAINER ENGINE: skipping sam local invoke"; fi; \
	$(MAKE) --no-print-directory local-build LOCAL_DIR=$(CLOUD_TEST_DIR); \
	cd cmd/packhorse && PACKHORSE_BUILT=$(CLOUD_TEST_DIR)/build go test -count=1 -tags cloud -timeout 15m $$tests

# make deploy PARAMETERS="DefenderTenantId=… DefenderClientId=…"; without PARAMETERS, sam asks. CERTIFICATE is
# the file that DefenderCertificatePem is read from: make cannot pass on lines.
DEPLOY_PARAMETERS = $(PARAMETERS) $(if $(CERTIFICATE),DefenderCertificatePem="\"$$(cat $(CERTIFICATE))\"")
.PHONY: deploy
deploy: $(VENV)/.installed ## deploy the stack STACK to the AWS account of your environment
	$(SAM) build $(if $(PARAMETERS),--parameter-overrides $(PARAMETERS))
	$(SAM) deploy --stack-name $(STACK) $(if $(PARAMETERS),--parameter-overrides $(DEPLOY_PARAMETERS),--guided)

# Use this key to check a manifest if you do not trust the copy in the bucket. It is read from the account
# of your environment or, with the variables that `make local-up` prints, from the local cloud.
.PHONY: public-key
public-key: $(VENV)/.installed ## print the public key that signs STACK's manifests, as PEM
	@key=$$($(VENV)/bin/aws cloudformation describe-stacks --stack-name $(STACK) --output text \
	  --query "Stacks[0].Outputs[?OutputKey=='SigningKeyArn'].OutputValue"); \
	[ -n "$$key" ] || { echo "stack $(STACK) has no output SigningKeyArn: deploy it again" >&2; exit 1; }; \
	$(VENV)/bin/aws kms get-public-key --key-id "$$key" --query PublicKey --output text | \
	  base64 -d | openssl pkey -pubin -inform DER

# Everything the functions need runs on this machine: a local cloud that stands in for AWS (it does not
# check credentials or keep state), and a simulated tenant. LOCAL_DIR has their logs.
LOCAL_DIR ?= .aws-sam/local
LOCAL_ADDRESS ?= 127.0.0.1
LOCAL_AWS = AWS_ENDPOINT_URL=http://$(LOCAL_ADDRESS):$(LOCAL_PORT) AWS_ACCESS_KEY_ID=000000000000 \
  AWS_SECRET_ACCESS_KEY=not-a-secret AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1
LOCAL = $(LOCAL_AWS) LOCAL_ADDRESS=$(LOCAL_ADDRESS) LOCAL_PORT=$(LOCAL_PORT) LOCAL_DIR=$(LOCAL_DIR) tools/local

# The parameters that point the functions at the simulated tenant.
LOCAL_TENANT = $$(sed -n -e 's/^DEFENDER_TENANT_ID=/DefenderTenantId=/p' \
  -e 's/^DEFENDER_CLIENT_ID=/DefenderClientId=/p' -e 's/^DEFENDER_API_URL=/DefenderApiUrl=/p' \
  -e 's/^DEFENDER_AUTHORITY_URL=/DefenderAuthorityUrl=/p' \
  -e 's/^DEFENDER_LINK_HOSTS=/DefenderLinkHosts=/p' $(LOCAL_DIR)/simulator.out) \
  DefenderCaPem="\"$$(cat $(LOCAL_DIR)/ca.pem)\"" Architecture=$(LOCAL_ARCHITECTURE) $(LOCAL_PARAMETERS)

# BUILT names a folder with an earlier build, which is then used instead of a new one.
BUILT ?=
LOCAL_BUILD = $(or $(BUILT),$(LOCAL_DIR)/build)
.PHONY: local-build
local-build: $(VENV)/.installed
	@$(if $(BUILT),:,$(SAM) build --build-dir $(LOCAL_BUILD) --parameter-overrides Architecture=$(LOCAL_ARCHITECTURE))

.PHONY: local-up
local-up: $(VENV)/.installed build ## start the local cloud on LOCAL_PORT, and the simulated tenant
	@$(LOCAL) up
	@$(LOCAL) tenant
	@echo 'the local cloud answers; for the AWS tools: export $(LOCAL_AWS)'

.PHONY: local-deploy
local-deploy: local-build ## deploy the template, unchanged, to the local cloud
	$(LOCAL_AWS) $(SAM) deploy --template-file $(LOCAL_BUILD)/template.yaml --stack-name $(STACK) \
	  --resolve-s3 --capabilities CAPABILITY_NAMED_IAM --no-confirm-changeset --no-fail-on-empty-changeset \
	  --parameter-overrides $(LOCAL_TENANT)

.PHONY: local-public-key
local-public-key: ## the same as public-key, for the stack in the local cloud
	@$(LOCAL_AWS) $(MAKE) --no-print-directory public-key

.PHONY: local-down
local-down: ## stop the local cloud and the tenant, and discard their contents
	@$(LOCAL) down

# Runs one function in a container with an event from events/, against a separate local cloud and tenant.
# Both stay up for the next time; `make invoke-down` stops them.
INVOKE = @address=$$($(LOCAL) docker) && $(MAKE) --no-print-directory local-invoke LOCAL_ADDRESS=$$address \
  LOCAL_DIR=$(INVOKE_DIR)
INVOKE_DIR ?= .aws-sam/invoke

# Prints function $(1)'s answer to event $(2), and then one line for people.
define invoke_function
$(LOCAL_AWS) $(SAM) local invoke $(1) --template-file $(LOCAL_BUILD)/template.yaml \
  --region us-east-1 --event $(2) --env-vars events/env.json \
  $$(docker image ls --quiet public.ecr.aws/lambda/provided | grep -q . && echo --skip-pull-image) \
  --parameter-overrides AwsEndpointUrl=http://$(LOCAL_ADDRESS):$(LOCAL_PORT) $(LOCAL_TENANT) \
  >$(LOCAL_DIR)/answer; \
cat $(LOCAL_DIR)/answer; echo; \
$(LOCAL) outcome $(1)
endef

# The fetch function fetches only actions that the ledger knows, and the ledger of a new local cloud is
# empty until the poll function has run.
.PHONY: local-invoke
local-invoke: local-up local-build
	@$(LOCAL) resources
	@if [ $(FUNCTION) = FetchPackageFunction ] && ! $(LOCAL) known; then \
	  echo "the ledger is empty: running the poll function first (a minute)"; \
	  $(call invoke_function,PollFunction,events/poll.json); \
	fi
	@$(call invoke_function,$(FUNCTION),$(EVENT))

.PHONY: invoke-poll
invoke-poll: $(VENV)/.installed ## invoke the poll function in a container (a minute; needs Docker)
	$(INVOKE) FUNCTION=PollFunction EVENT=$(or $(EVENT),events/poll.json)

.PHONY: invoke-fetch-package
invoke-fetch-package: $(VENV)/.installed ## the same for the fetch function, which archives a package; set EVENT for another event
	$(INVOKE) FUNCTION=FetchPackageFunction EVENT=$(or $(EVENT),events/fetch-package.json)

.PHONY: invoke-down
invoke-down: ## stop the local cloud and tenant of the invoke targets
	@$(MAKE) --no-print-directory local-down LOCAL_DIR=$(INVOKE_DIR)
