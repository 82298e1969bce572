# The one entry to every task; .ci/run calls the same targets. `make help` lists them.
SHELL := /bin/bash -o pipefail
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# Every module of the workspace. tools/ stands outside, so that its versions do not enter the workspace's choice.
MODULES  := proto platform services/auth services/connector services/sync services/documents gateway sim allinone test
SERVICES := auth connector sync documents
# The programs, as binary:module:package in the module.
PROGRAMS := concord:allinone:cmd/concord gateway:gateway:cmd/gateway sim:sim:cmd/sim \
            $(foreach s,$(SERVICES),$(s):services/$(s):cmd/$(s))
BIN      := $(CURDIR)/.cache/bin
TOOLS    := $(BIN)/.tools
# The npm packages that interop tests run against (test/node/README.md).
NODE     := .cache/node/.installed

# What the interop tests compare with: recorded exchanges and published documents of the providers.
CONCORD_PROVIDER_DATA ?= ../shared/providers
export CONCORD_PROVIDER_DATA := $(abspath $(CONCORD_PROVIDER_DATA))
# The packages with such tests; building all others for nothing would take minutes.
INTEROP   = $(shell grep -rl --include='*_test.go' '^//go:build interop' $(MODULES) | xargs -rn1 dirname | sort -u | sed 's|^|./|')
# More arguments for the program of `make run`, for example ARGS=--exit.
ARGS ?=

.PHONY: help run build bin/concord build-alone images images-again test interop browser bench chaos rolling fuzz storm check kube-check kube-test \
        generate generate-check third-party breaking baseline lint tidy-check deps-update tools

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- use it

run: bin/concord ## the whole suite on this machine, with the simulated upstream world, doing the main job
	bin/concord run $(ARGS)

build: ## every program into bin/
	@set -e; $(foreach p,$(PROGRAMS),$(call build-program,$(subst :, ,$(p)),go build -o);)

# $(call build-program,binary module package,go command with what comes before the output)
build-program = $(2) bin/$(if $(filter concord,$(word 1,$(1))),concord,concord-$(word 1,$(1))) ./$(word 2,$(1))/$(word 3,$(1))

bin/concord:
	go build -o $@ ./allinone/cmd/concord

build-alone: ## every program as its image builds it: outside the workspace
	@set -e; $(foreach p,$(PROGRAMS),$(call build-alone-program,$(subst :, ,$(p)));)

build-alone-program = echo "$(word 2,$(1))"; GOWORK=off go -C $(word 2,$(1)) build -o /dev/null ./$(word 3,$(1))

# What make images builds; RELEASE is the version of a release, 1.2.0, and PUSH the registry and prefix to push to.
PARTS     ?=
PLATFORMS ?= linux/amd64,linux/arm64
RELEASE   ?=
PUSH      ?=
IMAGES     = $(BIN)/images -root . -out .cache/images -parts "$(PARTS)" -platforms "$(PLATFORMS)" \
             -version "$(or $(RELEASE),devel)" -push "$(PUSH)"

images: $(BIN)/images ## the image of every part into .cache/images, looked into and tried (docs/images.md)
	@mkdir -p .cache/images
	GOWORK=off $(IMAGES)
	@$(if $(RELEASE),$(BIN)/release write . .cache/images/digests.json)

images-again: $(BIN)/images ## build them twice, elsewhere and with nothing cached, and fail when the digests differ
	GOWORK=off $(IMAGES) -again

# --- test it

# Three packages at once on two cores: most of the time of a test is waiting.
# The race detector watches everything but SQLite, whose code is translated from C and locks in ways of its own: watching
# that takes two thirds of the time of the tests.
RACE := -race '-gcflags=modernc.org/...=-race=false'

# The go command keeps the result of a test until a file of its module changes, or a variable that it reads. Tests that build
# programs of other modules, or read what lies beside their own, read this one: a digest of every file here.
SOURCES = $(shell git ls-files -z --cached --others --exclude-standard | xargs -0 sha256sum 2>&1 | sha256sum | cut -c1-16)

test: $(TOOLS) ## every test with the race detector, on SQLite, PostgreSQL and a real NATS server; nothing may be skipped
	REQUIRE_POSTGRES=1 SOURCES_DIGEST=$(SOURCES) $(BIN)/testreport \
		-- go test -json $(RACE) -p 3 -timeout 20m work \
		-- env GOWORK=off go -C tools test -json -count=1 ./... \
		-- env GOWORK=off go -C tools/images test -json -count=1 ./... \
		-- env GOWORK=off go -C tools/images/nats test -json -count=1 ./...

interop: $(TOOLS) $(NODE) ## against provider data and real software from outside (CONCORD_PROVIDER_DATA)
	@test -d "$(CONCORD_PROVIDER_DATA)" || { echo "CONCORD_PROVIDER_DATA: no folder $(CONCORD_PROVIDER_DATA)"; exit 1; }
	REQUIRE_POSTGRES=1 $(BIN)/testreport -- go test -json -count=1 -tags interop -run '^TestInterop' -timeout 10m $(INTEROP)

browser: $(TOOLS) $(NODE) ## the pages people sign in with, in Chromium (one minute)
	$(BIN)/testreport -- go test -json -count=1 -tags browser -timeout 5m ./test/browser

# Both files of test/node decide what is installed; the link lets its scripts find it.
$(NODE): test/node/package.json test/node/package-lock.json
	@mkdir -p $(@D) && cp $^ $(@D)
	npm ci --prefix $(@D) --ignore-scripts --no-audit --no-fund
	@ln -sfn ../../$(@D)/node_modules test/node/node_modules && touch $@

bench: ## the benchmarks behind docs/performance.md (LOAD_CLIENTS=100000 for the large practice)
	REQUIRE_POSTGRES=1 go test -run '^$$' -bench . -benchtime 1x -timeout 60m ./test/load
	REQUIRE_POSTGRES=1 go test -run '^$$' -bench . -timeout 60m $(patsubst %,./%/...,$(filter-out test,$(MODULES)))

chaos: ## kill every part of a suite, thirty times, while a hundred clients leave (two minutes)
	go test -tags chaos -count=1 -v -timeout 15m ./test/chaos

rolling: ## restart, kill and re-certify two replicas of every part under load (three minutes; ROLLING_RATE requests a second)
	go test -tags rolling -count=1 -v -timeout 15m ./test/rolling

fuzz: ## look for input that breaks a parser, FUZZTIME for each (60s)
	@tools/fuzz.sh $(MODULES)

# STORM requests in all, from SEED (the clock's when unset), to a suite of the shape TOPOLOGY (one-process, many-processes).
storm: ## 100,000 random requests to every RPC and REST path (STORM, SEED, TOPOLOGY)
	STORM=$${STORM:-100000} go test -count=1 -v -timeout 120m -run '^TestStorm' ./test/storm

# Kubernetes is 2,700 packages. Without inlining and debug information they take a third less time to compile, and what they
# are compiled for lasts a minute; packages that other programs here link are compiled as those do. Nor is all of it vetted to test
# our few packages. Clients want to be told a version, which Kubernetes' own build gives it.
KUBE_VERSION := $(shell sed -n 's|^\tk8s.io/kubernetes v||p' tools/kubeenv/go.mod)
KUBE_FLAGS   := $(foreach m,k8s.io sigs.k8s.io go.etcd.io github.com/google,'-gcflags=$(m)/...=-dwarf=false -l') \
                '-ldflags=-s -w $(foreach v,gitVersion=v$(KUBE_VERSION) $(join gitMajor= gitMinor=,$(wordlist 1,2,$(subst ., ,$(KUBE_VERSION)))),-X k8s.io/component-base/version.$(v))'

kube-test: $(BIN)/kubeenv $(TOOLS) ## apply deploy/k8s to a real Kubernetes API server and move its pods around on nodes that kwok plays
	$(BIN)/testreport -- env GOWORK=off go -C tools/kubeenv test -json -vet=off $(KUBE_FLAGS) ./internal/...
	$(BIN)/kubeenv trial deploy/k8s

$(BIN)/kubeenv: tools/kubeenv/go.mod tools/kubeenv/go.sum $(wildcard tools/kubeenv/*.go tools/kubeenv/internal/*/*.go)
	GOWORK=off go -C tools/kubeenv build $(KUBE_FLAGS) -o $@ .

check: lint generate-check build build-alone test ## what a change must pass

# The programs say what they take and whom they call; Kubernetes' schemas are made once, below .cache/kube.
kube-check: $(TOOLS) ## render deploy/k8s, every overlay and combination, and hold it against schemas and the rules of tools/kube
	@set -e; $(foreach p,$(filter-out concord:% sim:%,$(PROGRAMS)),$(call build-program,$(subst :, ,$(p)),go build -o);)
	@time $(BIN)/testreport -- env GOWORK=off go -C tools/kube test -json -count=1 ./...

# --- contract

generate: tools ## generate Go, gateway and OpenAPI from the contract
	tools/generate.sh

generate-check: tools ## fail when the committed generated code is not what the contract gives
	@out=$$(mktemp -d) && trap 'rm -rf "$$out"' EXIT && tools/generate.sh "$$out/gen" \
		&& { diff -r "$$out/gen" proto/gen | head -n 60; }

third-party: tools
	@$(BIN)/thirdparty proto/third_party.txt proto/third_party

breaking: third-party ## fail when the contract breaks what the last release published
	cd proto && $(BIN)/buf build --exclude-source-info --path concord -o ../.cache/contract.binpb
	$(BIN)/buf breaking .cache/contract.binpb --against proto/baseline.binpb --exclude-imports

baseline: third-party ## take the contract as it is for the released one (part of a release)
	cd proto && $(BIN)/buf build --exclude-source-info --path concord -o baseline.binpb

# --- care

# The tests that are not run with the others are read with them.
TAGS  := interop,browser,chaos,rolling
# The modules apart from the workspace that are ours; in those of buf and the linters stands what others pinned. kubeenv is not
# vetted: that would be all of Kubernetes, which takes minutes.
APART := tools tools/kube tools/kubeenv tools/images tools/images/nats tools/objects

lint: tools $(BIN)/images third-party breaking tidy-check ## everything that can be said without running it
	cd proto && $(BIN)/buf lint
	@unformatted=$$(gofmt -l $(addsuffix /,$(MODULES)) tools | grep -v /gen/); test -z "$$unformatted" || { echo "gofmt: $$unformatted"; exit 1; }
	go vet -tags $(TAGS) work
	@set -e; for m in $(filter-out tools/kubeenv,$(APART)); do GOWORK=off go -C $$m vet ./...; done
	$(BIN)/staticcheck -tags $(TAGS) $(MODULES:%=./%/...)
	$(BIN)/errcheck -ignoretests -ignoregenerated -exclude tools/lint/errcheck.txt $(MODULES:%=./%/...)
	$(BIN)/archcheck
	$(BIN)/shapecheck
	$(BIN)/modsync
	$(BIN)/depscheck
	$(BIN)/changes
	$(BIN)/requirements
	$(BIN)/release check .

tidy-check: ## fail when a go.mod is not what its module needs
	@set -e; for m in $(MODULES) $(APART); do GOWORK=off go -C $$m mod tidy -diff || { echo "$$m: go mod tidy"; exit 1; }; done

deps-update: tools ## write deps.txt of every module; say why in the review
	$(BIN)/depscheck -w

tools: $(TOOLS) $(BIN)/buf $(BIN)/staticcheck ## build the pinned generators and checkers into .cache/bin

$(TOOLS): tools/go.mod tools/go.sum $(filter-out tools/kube/% tools/kubeenv/%,$(wildcard tools/*/*.go tools/internal/*/*.go))
	GOBIN=$(BIN) GOWORK=off go -C tools install tool ./...
	@touch $@

$(BIN)/images: tools/images/go.mod tools/images/go.sum $(wildcard tools/images/cmd/*/*.go tools/images/internal/*/*.go)
	GOBIN=$(BIN) GOWORK=off go -C tools/images install ./cmd/images ./cmd/release
	@touch $@

# buf and the linters have modules of their own: they ask for newer versions of what the generators are pinned to.
$(BIN)/buf: tools/buf/go.mod tools/buf/go.sum
	GOBIN=$(BIN) GOWORK=off go -C tools/buf install tool
	@touch $@

$(BIN)/staticcheck: tools/lint/go.mod tools/lint/go.sum
	GOBIN=$(BIN) GOWORK=off go -C tools/lint install tool
	@touch $@
