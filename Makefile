# The commands a person types.
VERSION := $(shell git describe --always --dirty 2>/dev/null || echo devel)
LDFLAGS := -X trmsweep/internal/version.code=$(VERSION)
STATE   ?= .trmsweep
SWEEP   ?= AllAblations
PROFILE ?= smoke
KILLS   ?= 100
SEED    ?= 1
BACKEND ?= cpu

.PHONY: run run-clean up down build stack docs test race e2e chaos bench lint lint-full determinism

run: build ## the study on the embedded stack: PROFILE= SWEEP= STATE=
	bin/trmsweep run --sweep $(SWEEP) --profile $(PROFILE) --state $(STATE)

run-clean: build ## forget everything that run keeps
	bin/trmsweep forget --state $(STATE)

up: build ## the embedded stack and a worker until Ctrl-C
	bin/trmsweep up --state $(STATE)

down: ## stop up
	bin/trmsweep down --state $(STATE)

build: ## bin/trmsweep, bin/tctl, bin/devstack
	@mkdir -p bin
	go build -ldflags "$(LDFLAGS)" -o bin/ ./cmd/trmsweep ./cmd/tctl
	@test -x bin/devstack || echo "building the embedded Temporal server: several minutes the first time, seconds afterwards"
	cd cmd/devstack && go build -ldflags "-s -w" -o ../../bin/devstack .

stack: build ## the embedded stack in the foreground; Ctrl-C stops it
	bin/devstack --state $(STATE)

docs: ## docs/CONFIG.md and docs/CLI.md from the code; tests fail where they say something else
	go test -p 1 ./internal/experiment ./cmd/trmsweep ./cmd/tctl -run UpToDate -update

test: ## every test; no network but 127.0.0.1. Those of XLA need `trmsweep backend install xla:cpu`
	@go run ./cmd/trmsweep backend path xla:cpu >/dev/null 2>&1 || echo "NOT RUN: the tests of XLA: there is no xla:cpu here; bin/trmsweep backend install xla:cpu"
	go test -timeout 40m ./... trmsweep/internal/guard
	cd cmd/devstack && go test -vet=off . # lint vets it: facts of the whole server take minutes

# Those that share memory between goroutines and are done in seconds without the detector.
RECORDED = TestStudyAsTyped|TestSweepThroughAccidents|TestFailedExperimentIsALine|TestOtherTypes|TestControlCommands
RACY = ./activities ./worker ./workflows ./internal/blob/... ./internal/checkpoint ./internal/train ./internal/supervise \
	./internal/preempt ./internal/preflight ./internal/metrics ./internal/faultproxy ./cmd/tctl

race: ## tests of what runs concurrently, with the race detector; needs a C compiler
	go test -race -timeout 20m $(RACY)

e2e: ## the real binaries, driven as a user does
	go test -count=1 -timeout 40m ./e2e/

histories: ## record anew the histories that the replay tests of workflows/ read, with real runs of this code
	rm -f workflows/testdata/histories/*.json
	go test -count=1 -timeout 40m -run '^($(RECORDED))$$' ./e2e/ -args -update

chaos: ## a sweep while its processes are killed: KILLS= SEED= BACKEND=; then every hash is compared with an undisturbed run
	go test -count=1 -timeout 4h -v -run TestChaos ./internal/chaos/ -args -kills $(KILLS) -seed $(SEED) -backend $(BACKEND)

bench: ## training steps of every size against this machine's matrix product, and checkpoints of the paper's; BENCH=--short for the quick ones
	@mkdir -p bin
	go build -ldflags "$(LDFLAGS)" -o bin/ ./cmd/trmsweep
	bin/trmsweep bench all $(BENCH)
	go test -run xxx -bench PaperModel -benchtime 5x ./internal/checkpoint/

lint: ## format and vet
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	go vet ./... trmsweep/internal/guard
	cd cmd/devstack && go vet .

determinism: ## workflows do nothing that a replay would do otherwise
	go tool -modfile=tools/go.mod workflowcheck -config .workflowcheck.yml ./workflows/ ./worker/

lint-full: lint determinism ## lint, and every linter of .golangci.yml; builds them the first time
	go tool -modfile=tools/go.mod golangci-lint run
