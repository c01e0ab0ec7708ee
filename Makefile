# Two commands are all that a newcomer needs: `make run` and `make test`. `make help` lists the others.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.NOTPARALLEL:

# Where rustup puts cargo, which a shell that was open before does not look for, and where setup.sh puts tools of Cargo's.
export PATH := $(PATH):$(HOME)/.cargo/bin:$(or $(BARRAGE_E2E_CACHE),$(HOME)/.cache/barrage-e2e)/bin
# For the table of times.
export BEGAN := $(shell date +%s)

# Passed on: `make run ARGS="-f room.yaml"`, `make bench ARGS="fanout idle"`.
ARGS ?=

WEB := dataplane/web
BROWSER := e2e/browser
SETUP := e2e/scripts/setup.sh
SUITES := node e2e/scripts/suites.mjs
# Says how far a long command is where nobody watches a progress bar.
PATIENT := e2e/scripts/patient.sh
# Where Cargo builds.
TARGET = $(or $(CARGO_TARGET_DIR),target)

# What builds take the first time; minutes stand only where they were measured, on two cores.
RUN_TAKES := 4 minutes
RUN_RELEASE_TAKES := 6 minutes
BENCH_TAKES := many minutes
TEST_TAKES := about an hour, a third of it building

# The one program that is started, as little of it as dev mode needs.
RUN_PROFILE := $(if $(RELEASE),release,quick)
RUN_BUILD := cargo build --package barrage --bin barrage --no-default-features --profile $(RUN_PROFILE)

.PHONY: run
run: ## Serve a room named demo on http://127.0.0.1:8080/ (ARGS: of `barrage dev`; RELEASE=1: optimised)
	@$(SETUP) run
	@$(MAKE) --no-print-directory web
	@echo "==> building barrage$(if $(RELEASE), for speed): the first time takes $(if $(RELEASE),$(RUN_RELEASE_TAKES),$(RUN_TAKES))"
	@$(PATIENT) $(RUN_BUILD)
	@echo "==> barrage dev $(ARGS)   (Ctrl-C stops it; what was said stays in ./barrage-data)"
	@exec $(TARGET)/$(RUN_PROFILE)/barrage dev $(ARGS)

.PHONY: test
test: ## Every check and test; closes with the time of each, counts and one line of their sum
	@$(SETUP) test $(WITH)
	@echo "==> testing: the first time takes $(TEST_TAKES)"
	@$(SUITES) test $(WITH)

.PHONY: lint
lint: ## Formatting, clippy, types, links of the documentation, dependencies
	@$(SETUP) lint
	@$(SUITES) lint

.PHONY: format
format: $(WEB)/node_modules/.package-lock.json $(BROWSER)/node_modules/.package-lock.json ## Format everything
	cargo fmt --all
	cd $(WEB) && npm run --silent format
	cd $(BROWSER) && node_modules/.bin/prettier --config .prettierrc.json --write . ../scripts

.PHONY: web
web: $(WEB)/dist/index.html ## Build the page, if it changed
	@:

.PHONY: bench
bench: ## Benchmarks beside their baselines (SHORT=1: the short form; ARGS: which)
	@$(SETUP) bench
	@$(SETUP) later packages bench
	@$(MAKE) --no-print-directory web
	@echo "==> building for speed: the first time takes $(BENCH_TAKES)"
	@$(PATIENT) cargo build --release --workspace --bins
	@cargo run --quiet --release --bin barrage-bench -- $(if $(SHORT),--short) $(ARGS)

.PHONY: fuzz
fuzz: export FUZZ_SECONDS ?= 60
fuzz: ## Fuzz each parser for FUZZ_SECONDS (60)
	@$(SETUP) fuzz
	@$(SUITES) fuzz

.PHONY: chaos
chaos: export BARRAGE_FAULTS := $(FAULTS)
chaos: ## Break a cluster at random under load FAULTS times (30) and check what is kept; BARRAGE_SEED repeats a run
	@$(SETUP) test
	@$(SUITES) chaos

.PHONY: soak
soak: export FUZZ_SECONDS ?= 600
soak: ## The long forms: 200 kills (BARRAGE_KILLS), 300 faults in a cluster (BARRAGE_FAULTS), ten minutes of fuzzing a parser
	@$(SETUP) test fuzz
	@$(SUITES) soak

.PHONY: clean
clean: ## Remove what was built; ./barrage-data stays
	cargo clean
	rm -rf $(WEB)/dist $(WEB)/node_modules $(BROWSER)/node_modules $(BROWSER)/artifacts proto/fuzz/target

.PHONY: help
help: ## This list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16

# Folders stand beside their files so that a removed file is noticed, too.
$(WEB)/dist/index.html: $(WEB)/node_modules/.package-lock.json $(shell find $(WEB)/src $(WEB)/public $(WEB)/*.* -not -name '*.test.ts')
	@echo "==> building the page"
	@cd $(WEB) && npm run --silent build -- --logLevel warn
	@touch $@

%/node_modules/.package-lock.json: %/package-lock.json
	@echo "==> fetching the packages of $*"
	@cd $* && npm ci --no-audit --no-fund
	@touch $@
