# The commands for contributors. Works with GNU Make 3.81, the version of macOS.

GOLANGCI_LINT_VERSION := v2.15.0
GOLANGCI_LINT := .tools/golangci-lint-$(GOLANGCI_LINT_VERSION)

# The newest that Go 1.26 can build.
GORELEASER_VERSION := v2.15.1
GORELEASER := .tools/goreleaser-$(GORELEASER_VERSION)

.PHONY: help
help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "make %-15s %s\n", $$1, $$2 }'

.PHONY: run
run: ## Run the whole service, with NATS and SQLite inside
	go run ./cmd/clientele serve

.PHONY: build
build: ## Build ./clientele, a static binary
	CGO_ENABLED=0 go build -trimpath -o clientele ./cmd/clientele

.PHONY: setup
setup: ## Install what the tests need: PostgreSQL, a C compiler, Chromium, Prometheus; asks for root
	.ci/install --setup make cc postgres chromium promtool

# systemtest comes last and alone: its servers need the processors and the disk.
.PHONY: test
test: ## Run all tests with the race detector; make setup installs what they need
	.ci/install cc postgres
	CGO_ENABLED=1 go test -race -timeout 20m $$(go list ./... | grep -v /systemtest$$)
	CGO_ENABLED=1 go test -race -timeout 20m ./cmd/internal/systemtest

.PHONY: race
race: ## Run all tests with the race detector, also in the processes that they start; takes twice as long
	.ci/install cc postgres
	CGO_ENABLED=1 go test -race -tags processes -timeout 30m ./...

.PHONY: lint
lint: $(GOLANGCI_LINT) ## Check style and documents, see .golangci.yml and .ci/check-docs
	.ci/check-docs
	$(GOLANGCI_LINT) run

# The length of one measurement, and the number of rounds. The report shows medians.
BENCH_SECONDS := 6
BENCH_ROUNDS := 3

.PHONY: bench
bench: ## Measure each stage and the path from end to end; BENCH_SECONDS=6 BENCH_ROUNDS=3. Linux
	.ci/install postgres
	BENCH_SECONDS=$(BENCH_SECONDS) BENCH_ROUNDS=$(BENCH_ROUNDS) \
		go test -tags bench -count=1 -timeout 60m -v -run TestReport ./cmd/internal/perftest

# The paths of two or more builds of clientele, and what to measure them with. COMPARE_FLAGS are flags of clientele bench.
COMPARE_PROGRAMS :=
COMPARE_SETUPS := separate embedded replicated
COMPARE_CONNECTIONS := 16 256
COMPARE_FLAGS :=

.PHONY: compare
compare: ## Measure builds of clientele alternately; COMPARE_PROGRAMS="old new" BENCH_SECONDS=6 BENCH_ROUNDS=3. Linux
	.ci/install postgres
	COMPARE_PROGRAMS="$(COMPARE_PROGRAMS)" COMPARE_SETUPS="$(COMPARE_SETUPS)" COMPARE_CONNECTIONS="$(COMPARE_CONNECTIONS)" \
		COMPARE_FLAGS="$(COMPARE_FLAGS)" BENCH_SECONDS=$(BENCH_SECONDS) BENCH_ROUNDS=$(BENCH_ROUNDS) \
		go test -tags bench -count=1 -timeout 0 -v -run TestCompare ./cmd/internal/perftest

# GROWTH_SCALE multiplies a million commands and five million rows. SOAK_MINUTES is the length of the steady load, SOAK_RATE its rate in
# clients/s; 0 means half of the maximum.
GROWTH_SCALE := 1
SOAK_MINUTES := 30
SOAK_RATE := 0

.PHONY: growth
growth: ## Measure with large logs and tables, and over time; GROWTH_SCALE=1 SOAK_MINUTES=30. Linux
	.ci/install postgres
	BENCH_SECONDS=$(BENCH_SECONDS) GROWTH_SCALE=$(GROWTH_SCALE) SOAK_MINUTES=$(SOAK_MINUTES) SOAK_RATE=$(SOAK_RATE) \
		go test -tags bench -count=1 -timeout 0 -v -run TestGrowth ./cmd/internal/perftest

.PHONY: overload
overload: ## Measure a legitimate caller and memory during attacks; BENCH_SECONDS=6. Linux
	BENCH_SECONDS=$(BENCH_SECONDS) go test -tags bench -count=1 -timeout 20m -v -run TestOverload ./cmd/internal/perftest

.PHONY: browser
browser: ## Test the pages in a headless Chromium
	.ci/install chromium
	go test -tags browser -count=1 -timeout 10m -v -run InABrowser ./publisher/ingress ./cmd/internal/console

.PHONY: manifests
manifests: ## Check docker-compose.yml, deploy/kubernetes and the alerts with what reads them
	.ci/install promtool
	cd deploy/check && go vet ./... && go test -count=1 ./...

.PHONY: contracts
contracts: ## Generate Go from the contract and use the API with it; downloads modules
	go test -tags contracts -count=1 -timeout 10m -v -run TestGenerated ./cmd/internal/systemtest

.PHONY: node
node: ## Check the contracts and use them from TypeScript and JavaScript; requires Node.js 20.19 and the npm registry
	go test -tags node -count=1 -timeout 10m -v -run TestNode ./cmd/internal/systemtest

.PHONY: packages
packages: ## Build the packages of the last commit twice, compare, install and remove them; requires root on Linux with dpkg
	.ci/install groff rpm systemd-analyze
	cd deploy/check && go vet -tags packages ./... && go test -tags packages -count=1 -timeout 10m -v -run TestPackages ./...

.PHONY: snapshot
snapshot: $(GORELEASER) ## Build all files of a release from this commit into dist; publishes nothing
	$(GORELEASER) check
	$(GORELEASER) release --snapshot --clean

.PHONY: release
release: $(GORELEASER) ## Build the release of the tag of this commit into dist; publishes nothing
	$(GORELEASER) check
	$(GORELEASER) release --clean --skip=publish

GOVULNCHECK_VERSION := v1.9.0

.PHONY: vulnerabilities
vulnerabilities: ## Check the dependencies with govulncheck; requires vuln.go.dev
	go run golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION) ./...

.PHONY: microbench
microbench: ## Run the Go benchmarks
	.ci/install postgres
	go test -run '^$$' -bench . -benchmem -benchtime 2s -timeout 60m ./...

# The length of all runs together, their number, and the seed of the first. The runs alternate between the stages, of which the last two
# require root on Linux, for network namespaces. FAULTS_KIND is a part of the names of the faults.
FAULTS_MINUTES := 4
FAULTS_RUNS := 4
FAULTS_SEED :=
FAULTS_STAGES := serve separate synchronous asynchronous
FAULTS_KIND :=

.PHONY: faults
faults: ## Inject random faults and check that nothing is lost; FAULTS_MINUTES=4 FAULTS_RUNS=4 FAULTS_STAGES="serve separate"
	.ci/install postgres
	FAULTS_MINUTES=$(FAULTS_MINUTES) FAULTS_RUNS=$(FAULTS_RUNS) FAULTS_SEED=$(FAULTS_SEED) \
		FAULTS_STAGES="$(FAULTS_STAGES)" FAULTS_KIND="$(FAULTS_KIND)" \
		go test -tags faults -count=1 -timeout 0 -v -run 'TestFaults|TestControls|TestJournal|TestCrash|TestNATSHangs' ./cmd/internal/faulttest

# The number of commands at each step of an upgrade.
UPGRADE_COMMANDS := 100

.PHONY: upgrade
upgrade: ## Upgrade from release 0.1, and to a next one, and back, under load; UPGRADE_COMMANDS=100. Requires the git history
	.ci/install postgres
	UPGRADE_COMMANDS=$(UPGRADE_COMMANDS) go test -tags faults -count=1 -timeout 20m -v -run TestUpgrade ./cmd/internal/faulttest

.PHONY: powerloss
powerloss: ## Simulate power loss and disk failure under serve; requires root on Linux
	go test -tags faults -count=1 -timeout 20m -v -run 'TestPowerLoss|TestDisk' ./cmd/internal/faulttest

# time waits until each nats-server has taken its snapshots, up to 3 minutes; load makes them take snapshots earlier.
FORENSICS_BY := time

.PHONY: forensics
forensics: ## Search raw disks for an erased client; FORENSICS_BY=time|load. Requires root on Linux
	.ci/install postgres
	FORENSICS_BY=$(FORENSICS_BY) go test -tags faults -count=1 -timeout 20m -v -run TestForensics ./cmd/internal/faulttest

# go test fuzzes one target at a time, so the targets are listed first. Each runs for FUZZ_TIME. By default, Go would spend up to a
# minute of it on minimizing one input. Killed fuzzing processes leave files in a temporary directory, which is removed at the end.
FUZZ_TIME := 1m
FUZZ_PACKAGES := ./...

.PHONY: fuzz
fuzz: ## Fuzz every decoder; FUZZ_TIME=1m each, FUZZ_PACKAGES=./...
	.ci/install postgres
	@listed=$$(go test -list '^Fuzz' $(FUZZ_PACKAGES)) || { echo "$$listed"; exit 1; }; \
	targets=$$(echo "$$listed" | awk '/^Fuzz/ { names[n++] = $$1 } /^ok/ { while (n > 0) print $$2 ":" names[--n] }'); \
	[ -n "$$targets" ] || { echo "no fuzz targets found"; exit 1; }; \
	tmp=$$(mktemp -d) && chmod 755 "$$tmp" && trap 'rm -rf "$$tmp"' EXIT; \
	status=0; \
	for target in $$targets; do \
		echo "== $$target"; \
		TMPDIR="$$tmp" go test -run '^$$' -fuzz "^$${target##*:}$$" -fuzztime $(FUZZ_TIME) -fuzzminimizetime 1s "$${target%:*}" || status=1; \
	done; \
	exit $$status

.PHONY: clean
clean: ## Remove build results, but keep data
	rm -rf clientele .tools dist

.PHONY: tools
tools: $(GOLANGCI_LINT)

# The file name contains the version, so each version is built once.
$(GOLANGCI_LINT):
	GOBIN="$(CURDIR)/.tools" go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	mv .tools/golangci-lint $@

$(GORELEASER):
	GOBIN="$(CURDIR)/.tools" go install github.com/goreleaser/goreleaser/v2@$(GORELEASER_VERSION)
	mv .tools/goreleaser $@
