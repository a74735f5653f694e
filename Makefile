# Every command that a developer of CLS Backend needs. `make` alone lists them.

# nomsgpack halves the binary by leaving out a codec of gin's that nothing here uses;
# -buildvcs=false lets a tree build that git does not trust or that is no repository.
export GOFLAGS := -buildvcs=false -tags=nomsgpack

VERSION    = $(shell git describe --tags --dirty 2>/dev/null || echo dev)
COMMIT     = $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
BUILD_TIME = $(shell date -u +%Y-%m-%dT%H:%M:%SZ)
LDFLAGS    = -X main.version=$(VERSION) -X main.commit=$(COMMIT) -X main.buildTime=$(BUILD_TIME)

# The linters have a module file of their own: their 200 dependencies stay out of go.mod.
TOOL = go tool -modfile=tools.mod

# Where it can (Linux), the kernel ends dev when make itself is killed.
WITH_MAKE = $(shell setpriv --pdeathsig TERM true 2>/dev/null && echo setpriv --pdeathsig TERM)

# Google's Pub/Sub emulator, a component of the Cloud SDK.
SDK      = $(patsubst %/bin/gcloud,%,$(realpath $(shell command -v gcloud)))
EMULATOR = $(wildcard $(SDK)/platform/pubsub-emulator)
EMULATOR_TESTS = $(sort $(dir $(shell grep -rl --include='*_test.go' '^//go:build.*emulator' .)))

.DEFAULT_GOAL := help
.PHONY: help setup build backend dev dev-reset test test-faults fault test-deletions test-emulator emulator race bench load fmt lint lint-openapi generate

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: ## Install PostgreSQL's programs where they are missing
	@scripts/postgres-setup.sh

# Without libc cls starts in two thirds of the time.
build: backend ## Build bin/cls-backend, bin/cls and bin/cls-conformance
	go build -ldflags '$(LDFLAGS)' -o bin/ ./cmd/cls-conformance
	CGO_ENABLED=0 go build -ldflags '$(LDFLAGS)' -o bin/ ./cmd/cls

backend:
	go build -ldflags '$(LDFLAGS)' -o bin/ ./cmd/cls-backend

dev: $(if $(DATABASE_URL),,setup) backend ## Run everything on this machine; Ctrl-C ends it
	@exec $(WITH_MAKE) bin/cls-backend dev

dev-reset: backend ## Remove the data of make dev
	bin/cls-backend dev --reset

test: setup ## Run all tests
	go test -timeout 10m ./...
	go test -short -tags nomsgpack,faultpoint ./internal/faultpoint

test-faults: setup ## Run the short doses of what make fault plays; nothing else should be running
	go test -tags nomsgpack,faults -count=1 -timeout 15m ./test/fault

fault: setup ## Prove that the service survives faults, for hours; writes docs/proof/faults.md
	go run ./test/fault

test-deletions: setup ## Run the deletions under faults at their full size: 10,000
	CLS_TEST_DELETIONS=10000 go test -count=1 -timeout 10m -v ./test/deletions

race: setup ## Run all tests under the race detector (needs a C compiler)
	go test -race -timeout 20m ./...

test-emulator: setup emulator ## Run the tests against Google's Pub/Sub emulator
	go test -tags nomsgpack,emulator -timeout 10m $(or $(EMULATOR_TESTS),$(error no package has tests for the emulator))

emulator:
	@[ -n "$(EMULATOR)" ] || { echo "Google's Pub/Sub emulator is not installed: gcloud components install pubsub-emulator" >&2; exit 1; }
	@command -v java >/dev/null || { echo "Google's Pub/Sub emulator needs Java: apt-get install default-jre-headless" >&2; exit 1; }

bench: setup build ## Measure the service; samples go to bench-out/
	go run ./test/load

load: setup build ## Study the service under load, for hours; writes docs/proof/load.md
	go run ./test/load -plan load

fmt: ## Format the code
	$(TOOL) golangci-lint fmt

lint: ## Run the linters
	$(TOOL) golangci-lint run ./...

lint-openapi: ## Run the linter of the OpenAPI document (needs Node.js, and installs it where it can)
	@scripts/node-setup.sh
	cd test/typescript && npm ci && npm run lint

generate: ## Write the generated files anew
	go generate ./...
