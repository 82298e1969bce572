# The one entry to every task; .ci/run calls the same targets. `make help` lists them.
SHELL := /bin/bash -o pipefail
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# Every module of the workspace; tools/ stands outside, so that its versions do not enter the workspace's choice.
MODULES  := proto platform services/auth services/connector services/sync services/documents gateway sim allinone test
BIN      := $(CURDIR)/.cache/bin
TOOLS    := $(BIN)/.tools

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- tools, built once from their pins

.PHONY: tools
tools: $(TOOLS) $(BIN)/buf ## build the pinned generators and checkers into .cache/bin

$(TOOLS): tools/go.mod tools/go.sum $(wildcard tools/*/*.go)
	GOBIN=$(BIN) GOWORK=off go -C tools install tool ./...
	@touch $@

# buf has its own module: it asks for newer versions of what the generators are pinned to.
$(BIN)/buf: tools/buf/go.mod tools/buf/go.sum
	GOBIN=$(BIN) GOWORK=off go -C tools/buf install tool
	@touch $@

# --- contract

.PHONY: generate
generate: tools ## generate Go, gateway and OpenAPI from the contract
	tools/generate.sh

.PHONY: generate-check
generate-check: tools ## fail when the committed generated code is not what the contract gives
	@out=$$(mktemp -d) && trap 'rm -rf "$$out"' EXIT && tools/generate.sh "$$out/gen" && { diff -r "$$out/gen" proto/gen | head -n 60; }
