# The commands a person types. Targets that need parts which are not built yet are not listed.
VERSION := $(shell git describe --always --dirty 2>/dev/null || echo devel)
LDFLAGS := -X trmsweep/internal/version.code=$(VERSION)

.PHONY: build test lint

build: ## bin/trmsweep
	@mkdir -p bin
	go build -ldflags "$(LDFLAGS)" -o bin/trmsweep ./cmd/trmsweep

test: ## every test; no network but 127.0.0.1
	go test ./...

lint: ## format and vet
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	go vet ./...
