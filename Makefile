# Lockstep: everything a developer does is a target here, and CI calls only these.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

GO    ?= go
TOOL  := $(GO) tool -modfile=tools/go.mod
BIN   := bin
DATA  ?= $(or $(LOCKSTEP_DATA),./data)
NODES ?= 3

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X lockstep/cmd/version.version=$(VERSION)

# Everything but the tests with real processes, which `make e2e` runs alone so
# that nothing else competes with their clocks.
UNIT_PACKAGES = $(shell $(GO) list ./... | grep -v '^lockstep/e2e')

# What the simulator's guest will compile: no file and no socket may be reached.
WASIP1_PACKAGES = $(shell $(GO) list ./engine/... ./api/... ./transport/... ./nodes/... ./client/... | grep -v -e '^lockstep/nodes/disk')

.PHONY: help
help: ## list the targets (this text)
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z0-9-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@printf '\nVariables: DATA=%s NODES=%s RUN=regexp COUNT=n TIME=duration\n' '$(DATA)' '$(NODES)'

##@ Use it

.PHONY: build
build: ## compile lockstepd and lockstep into bin/
	@mkdir -p $(BIN)
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/ ./cmd/lockstepd ./cmd/lockstep

.PHONY: run
run: build ## start a cluster on loopback in DATA (./data), NODES=3; Ctrl-C stops it
	@exec $(BIN)/lockstepd dev --data '$(DATA)' --nodes $(NODES)

##@ Check it

.PHONY: test
test: ## what to run before each commit: build, lint, unit, wasip1, e2e
	@start=$$SECONDS; \
	for part in build lint wasip1 unit e2e; do \
	  began=$$SECONDS; echo "=== $$part"; $(MAKE) $$part; echo "=== $$part: $$((SECONDS - began)) s"; \
	done; \
	echo "=== test passed in $$((SECONDS - start)) s"

.PHONY: unit
unit: ## unit, story and property tests (RUN=regexp chooses)
	$(GO) test -shuffle=on -timeout 5m $(if $(RUN),-run '$(RUN)') $(UNIT_PACKAGES)

.PHONY: race
race: ## the unit tests under the race detector
	$(GO) test -race -shuffle=on -timeout 15m $(if $(RUN),-run '$(RUN)') $(UNIT_PACKAGES)

.PHONY: e2e
e2e: build ## real processes, real disks, QUIC: kills, stops, cuts (RUN=regexp chooses)
	LOCKSTEP_E2E_BIN='$(abspath $(BIN))' $(GO) test -count=1 -timeout 9m $(if $(RUN),-run '$(RUN)') ./e2e/...

.PHONY: wasip1
wasip1: ## everything the simulator runs compiles without files and sockets
	GOOS=wasip1 GOARCH=wasm $(GO) build $(WASIP1_PACKAGES)

.PHONY: cover
cover: ## line coverage; fails when the engine is below 90 %
	@mkdir -p $(BIN)
	$(GO) test -count=1 -coverprofile=$(BIN)/engine.cover -coverpkg=./engine/... ./engine/...
	@$(GO) tool cover -func=$(BIN)/engine.cover | awk '/^total:/ { \
	  share = $$3 + 0; printf "engine coverage: %.1f %% of statements (at least 90 %%)\n", share; exit share < 90 }'

FUZZTIME ?= $(or $(TIME),20s)
.PHONY: fuzz
fuzz: ## each fuzzer for TIME (20s)
	@$(GO) list ./engine/... ./transport/... ./nodes/... ./client/... | while read -r package; do \
	  for target in $$($(GO) test -list '^Fuzz' "$$package" | grep '^Fuzz' || true); do \
	    echo "--- $$package $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$package"; \
	  done; \
	done

##@ Measure it

COUNT ?= 3
.PHONY: bench
bench: build ## acquire-release pairs a second of a cluster with syncs on, as a table
	$(BIN)/lockstep bench --cluster-binary $(BIN)/lockstepd --runs $(COUNT)

.PHONY: bench-go
bench-go: ## Go benchmarks of engine, codec, framing and proposer (RUN=regexp chooses)
	$(GO) test -run '^$$' -bench '$(or $(RUN),.)' -benchmem -timeout 30m ./engine/... ./transport/... ./nodes/... ./client/...

##@ Keep it clean

.PHONY: lint
lint: ## golangci-lint (formatting too) and buf lint
	$(TOOL) golangci-lint run --allow-parallel-runners ./...
	$(TOOL) buf lint

.PHONY: fmt
fmt: ## format Go and protobuf
	$(TOOL) golangci-lint fmt ./...
	$(TOOL) buf format -w

.PHONY: generate
generate: ## regenerate the protobuf code with the pinned tools
	$(TOOL) buf generate

.PHONY: generate-check
generate-check: generate ## fail when the generated code differs from what is committed
	@git diff --exit-code --stat -- api || { echo 'generated code is stale: commit what make generate wrote'; exit 1; }

.PHONY: ci
ci: ## what CI runs: test, then the longer things
	@for part in test generate-check cover race fuzz; do \
	  began=$$SECONDS; echo "##### $$part"; $(MAKE) $$part; echo "##### $$part: $$((SECONDS - began)) s"; \
	done

.PHONY: clean
clean: ## remove binaries and caches of this tree (never DATA)
	rm -rf $(BIN)
