# Targets by intent. `make help` lists them.
SHELL := /bin/bash
GO ?= go
VERSION ?= 0.1.0
LDFLAGS := -s -w -X main.version=$(VERSION)
ARCHES := amd64 arm64
SEEDS ?= 10000
MINUTES ?= 5
ENSEMBLES ?= zzz zzzzz zza zaa
LIVES ?= 20
REQUESTS ?= 100000
N ?= 3
FUZZTIME ?= 20s
JOBS ?= 1
FUZZERS ?= $(shell nproc)

export CGO_ENABLED = 0

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

.PHONY: build
build: bundle ## build bin/zkctl (with the servers for linux/amd64 and linux/arm64 inside), bin/zkserver, which is zkcli as well, and bin/zkcli
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/zkctl ./cmd/zkserver ./cmd/zkcli

# The compressed servers that zkctl carries. Rebuilt when a source file is newer; what an older tree has left there goes.
SOURCES := $(shell find wire client server zkcli cmd/zkserver -name '*.go' -not -name '*_test.go' 2>/dev/null) go.mod go.sum
.PHONY: bundle
bundle: $(foreach a,$(ARCHES),bundle/files/zkserver-linux-$(a).gz bundle/files/zkserver-linux-$(a).sum)
	@rm -f $(filter-out $^ bundle/files/README,$(wildcard bundle/files/*))

bundle/files/%.gz: $(SOURCES)
	@name=$*; cmd=$${name%%-*}; arch=$${name##*-}; set -e; \
	out=bundle/files/.$$name; \
	GOOS=linux GOARCH=$$arch $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $$out ./cmd/$$cmd; \
	gzip -9 -n -c $$out > $@.tmp; mv $@.tmp $@; rm -f $$out; echo "bundled $$name"

# Checksum and size of the program, so that zkctl needs not unpack it to know them.
bundle/files/%.sum: bundle/files/%.gz
	@gzip -dc $< | sha256sum | cut -d' ' -f1 >$@.tmp; gzip -dc $< | wc -c >>$@.tmp; mv $@.tmp $@

.PHONY: demo demo-down
demo: build ## a three-member ensemble on this machine, without root or SSH
	@examples/demo.sh up

demo-down: ## stop and remove the demo ensemble
	@examples/demo.sh down

.PHONY: test race sim mutants fuzz lint
test: ## every test that needs only Go, 2,000 simulated ensembles among them
	$(GO) test ./...

race: ## the same under the race detector (needs a C compiler); fewer simulated ensembles
	CGO_ENABLED=1 ZKCTL_SIM_SEEDS=100 $(GO) test -race ./...

sim: ## simulate SEEDS ensembles
	$(GO) test ./server/sim -run TestSeeds -count=1 -timeout 0 -v -seeds $(SEEDS)

mutants: ## look for the first simulated ensemble that notices each deliberate mistake in the protocol
	ZKCTL_MUTANTS=all $(GO) test ./server/sim -run 'TestMutants$$' -count=1 -timeout 0 -v

.PHONY: crash-test
crash-test: ## lose power at every operation of LIVES disks, fail each operation, damage each byte, ignore each sync
	ZKCTL_CRASH_LIVES=$(LIVES) $(GO) test -count=1 -timeout 60m -v -run 'Power|Every|FailingDisk' ./server/store ./server/txnlog ./server/config

fuzz: ## each decoder for FUZZTIME, JOBS of them side by side
	@set -o pipefail; for pkg in $$($(GO) list ./...); do $(GO) test -list '^Fuzz' $$pkg | sed -n "s,^Fuzz,$$pkg &,p"; done | \
	  xargs -P $(JOBS) -L 1 bash -c 'out=$$($(GO) test $$0 -run "^$$" -fuzz "^$$1$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 2x \
	    -parallel $(FUZZERS) 2>&1) || { echo "$$out"; echo "FAIL: $$1 of $$0"; exit 1; }; \
	    echo "$$1 of $$0: $$(grep -o "execs: [0-9]*" <<<"$$out" | tail -n 1)"'

lint: ## gofmt, go vet, staticcheck, no built program among the sources
	@test -z "$$(git ls-files -z | xargs -0 -r stat -c '%s %n' | awk '$$1 > 1048576' | tee /dev/stderr)"
	@test -z "$$(gofmt -l . | grep -v testdata | tee /dev/stderr)"
	$(GO) vet ./...
	$(GO) vet -tags lab,interop,chaos,diff,suites,soak,bench ./...
	$(GO) tool staticcheck ./...

.PHONY: lab-up lab-down lab-test interop-test transcript-test diff-test suites chaos soak bench
lab-up: ## N test hosts on this machine (root)
	lab/lab.sh up $(N)

lab-down: ## remove them
	lab/lab.sh down

lab-test: build ## end-to-end tests on three bare test hosts (root)
	$(GO) test -tags lab -count=1 -timeout 30m -v ./test/lab

interop-test: build ## clients and servers written by others (root, Debian packages)
	$(GO) test -tags interop -count=1 -timeout 45m -v ./test/interop
	$(GO) test -count=1 -timeout 10m -v ./cmd/zkctl -run TestApache

transcript-test: ## the same commands typed at zkCli.sh and zkcli, at both servers (Debian packages)
	$(GO) test -tags interop -count=1 -timeout 30m -v ./test/transcript

diff-test: ## the same REQUESTS to zkserver and Apache ZooKeeper, every answer compared (Debian packages)
	$(GO) test -tags diff -count=1 -timeout 60m -v ./test/diff -requests $(REQUESTS)

suites: ## the integration suites of other clients with both servers, tallies compared (root, Debian packages)
	$(GO) test -tags suites -count=1 -timeout 2h -v ./test/suites

chaos: build ## each of ENSEMBLES under a nemesis for MINUTES (root); z is a zkserver member, a one of Apache ZooKeeper
	@set -e; for members in $(ENSEMBLES); do \
	  $(GO) test -tags chaos -count=1 -timeout 0 -v ./test/chaos -run TestChaos -minutes $(MINUTES) -members $$members; done

soak: build ## hostile bytes on every port beside a client that works, for MINUTES
	$(GO) test -tags soak -count=1 -timeout 0 -v ./test/soak -minutes $(MINUTES)

bench: build ## zkserver beside Apache ZooKeeper in one run (root for the lab part)
	$(GO) run ./test/bench

.PHONY: resource-test
resource-test: build ## descriptors, memory, ten thousand sessions at once, floods: the others are served
	$(GO) test -tags chaos -count=1 -timeout 10m -v ./test/resources

.PHONY: bench-failover
bench-failover: ## from the leader's death to the next write, 50 times, with zkserver and Apache ZooKeeper
	$(GO) run ./test/bench -failover 50

HOSTS ?= 3,9,100
DELAYS ?= 0,20,100
ROUNDS ?= 3
.PHONY: bench-provision
bench-provision: build ## zkctl beside Ansible on HOSTS hosts over lines of DELAYS ms, ROUNDS times (root; Debian: ansible-core)
	@set -o pipefail; $(GO) test -tags bench -count=1 -timeout 0 -v ./test/provisionbench -run TestProvision -args \
	  -hosts=$(HOSTS) -delays=$(DELAYS) -rounds=$(ROUNDS) | grep -E '^(\||Measured|$$|        )|SKIP:|FAIL|_test.go:'

.PHONY: clean
clean: ## remove what was built
	rm -rf bin bundle/files/*.gz bundle/files/*.sum bundle/files/*.tmp bundle/files/.zk*
