# `make demo` shows it, `make test` proves it. Both work in a fresh clone that has Rust, Python 3.10
# or later, Node 20 or later and a C linker. Which tests are in which tier: tests/README.md.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-builtin-rules

# One build of the whole workspace serves the tests of all languages: the target, the features and
# the environment are the same everywhere, so that nothing is compiled twice.
export CARGO_BUILD_TARGET ?= $(shell rustc -vV | sed -n 's/^host: //p')
FEATURES := --features codex-auth-sdk/test-util,codex-auth-tests/bindings
# The Python module is not linked to the library of one interpreter.
export PYO3_BUILD_EXTENSION_MODULE := 1
BUILT := target/$(CARGO_BUILD_TARGET)/debug
PYTHON ?= python3
VENV := .venv
RUN_PYTHON := $(VENV)/bin/python
export VIRTUAL_ENV := $(CURDIR)/$(VENV)
export TEST_ISSUER := $(CURDIR)/$(BUILT)/test-issuer
# The real Codex CLI: the newest, one that is widely used, and one that takes no lock and truncates
# auth.json in place.
CODEX_RELEASES ?= 0.171.0 0.169.0 0.128.0
CODEX_PROGRAMS := $(CODEX_RELEASES:%=target/codex-%/codex)
AUTHORIZATION_SERVER := tests/oidc-provider
# What docs/works-with.md promises, in folders of its own.
WORKS_WITH := target/works-with
NPM_PACKAGES := bindings-node/node_modules/ready examples/node/node_modules/ready
SITE_PAGES := target/site-pages
STEPS := tests/steps
# Programs in Python that are in no package.
SCRIPTS := tests/steps tests/mutants tests/version tests/error-codes \
  bindings-python/scripts/example_blocks.py bindings-python/scripts/stub-docs
# Tests wait more than they work: this many run at once.
JOBS ?= $(shell echo $$((3 * $$(getconf _NPROCESSORS_ONLN))))
export NEXTEST_TEST_THREADS := $(JOBS)
CARGO_TEST := $(shell cargo nextest --version >/dev/null 2>&1 && echo cargo nextest run || echo cargo test)
# Test programs that `make test` runs briefly or not at all.
AT_LENGTH := agent simulation endpoint_failure store_failure crash postgres
WITH_CODEX := codex_cli codex_login codex_stores codex_encrypted guardian

# A login of the machine's own must not leak into a test.
unexport CODEX_HOME CODEX_API_KEY CODEX_ACCESS_TOKEN CODEX_REFRESH_TOKEN_URL_OVERRIDE
unexport CODEX_REVOKE_TOKEN_URL_OVERRIDE CODEX_APP_SERVER_LOGIN_CLIENT_ID
unexport CODEX_INTERNAL_ORIGINATOR_OVERRIDE CODEX_CA_CERTIFICATE

.PHONY: demo picture check test test-all test-rest torture fuzz mutants lint deny bench sizes dist test-install clean
.PHONY: crates npm-packages python-tools authorization-server codex-clis build
.PHONY: check-rust check-python check-node check-changes
.PHONY: test-rust test-doc test-python test-node test-length test-codex test-works-with
.PHONY: test-wheel test-runtimes test-windows
.PHONY: lint-rust lint-python lint-node docs error-codes site banned versions

## The main job: many programs, one login. CODEX=1 fetches the real Codex CLI to take part.
demo:
	@$(STEPS) crates npm-packages $(if $(CODEX),codex-clis) build --
	@codex="$$(command -v codex || true)"; \
	if [ -n "$(CODEX)" ]; then codex="$$PWD/$(firstword $(CODEX_PROGRAMS))"; fi; \
	$(BUILT)/demo --python $(RUN_PYTHON) --node node $${codex:+--codex "$$codex"} $(DEMO)

## The picture in README.md: twelve programs with one login, with this library and without.
picture:
	@$(STEPS) crates npm-packages build --
	$(RUN_PYTHON) examples/python/picture $(BUILT) docs/one-login.svg

PREPARED := crates npm-packages python-tools authorization-server build
TESTED := test-rust test-doc test-python test-node
RESTS := test-length test-codex test-works-with test-wheel test-runtimes

## Before each commit: the core, the shared cases on the file store, format and lints of what changed.
check:
	@$(STEPS) python-tools build -- check-rust check-python check-node check-changes

## Each guarantee, in each language.
test:
	@$(STEPS) $(PREPARED) -- $(TESTED)

## All there is: also what takes long, the real Codex CLI, every Python and every Node.
test-all:
	@$(STEPS) $(PREPARED) codex-clis -- $(TESTED) $(RESTS)

# What `test-all` has beyond `test`.
test-rest:
	@$(STEPS) $(PREPARED) codex-clis -- $(RESTS)

crates:
	cargo fetch --locked --target $(CARGO_BUILD_TARGET)

npm-packages: $(NPM_PACKAGES)

python-tools: $(VENV)/tools

authorization-server: $(AUTHORIZATION_SERVER)/node_modules/ready

codex-clis: $(CODEX_PROGRAMS)

# All of it at once: the build command of the Node addon starts cargo for the whole workspace, and
# Python imports the module from its source folder.
build: $(RUN_PYTHON) $(NPM_PACKAGES)
	cd bindings-node && npx napi build --platform --no-js --dts native.d.ts -- \
	  --locked --workspace --lib --bins --tests $(FEATURES)
	npm --prefix bindings-node run build:ts
	cp $(BUILT)/lib_native.so bindings-python/python/codex_auth_sdk/_native.abi3.so
	echo "$$PWD/bindings-python/python" > \
	  "$$($(RUN_PYTHON) -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/codex_auth_sdk.pth"

check-rust:
	$(CARGO_TEST) --workspace $(FEATURES) --lib
	$(CARGO_TEST) --workspace $(FEATURES) --test cases -- ::file

check-python:
	$(RUN_PYTHON) -m pytest tests/python/test_cases.py -n $(JOBS) -k file

check-node:
	cd bindings-node && node --test --test-name-pattern '\(file\)' ../tests/node/cases.test.mjs

check-changes: $(VENV)/tools
	FEATURES="$(FEATURES)" tests/check-changes

# Processes in all three languages take part: contenders, examples, a browser.
test-rust:
	PYTHON="$$PWD/$(RUN_PYTHON)" $(CARGO_TEST) --workspace $(FEATURES)

test-doc:
	cargo test --workspace $(FEATURES) --doc

test-python:
	$(RUN_PYTHON) -m pytest tests/python -n $(JOBS) --dist worksteal

test-node:
	cd bindings-node && node --test --test-concurrency=$(JOBS) ../tests/node/*.test.mjs

# What `make test` runs briefly.
test-length:
	PYTHON="$$PWD/$(RUN_PYTHON)" TESTS=all $(CARGO_TEST) --workspace $(FEATURES) $(AT_LENGTH:%=--test %)
	TESTS=all node --test tests/node/unshared-memory.test.mjs

# The real Codex CLI on the same login.
test-codex: $(CODEX_PROGRAMS)
	clis=; for program in $(CODEX_PROGRAMS); do clis="$$clis$${clis:+:}$$PWD/$$program"; done; \
	PYTHON="$$PWD/$(RUN_PYTHON)" CODEX_CLIS="$${CODEX_CLIS:-$$clis}" \
	  $(CARGO_TEST) --workspace $(FEATURES) $(WITH_CODEX:%=--test %)

# The HTTP clients and SDKs of docs/works-with.md, each in a program of its own.
test-works-with: $(VENV)/tools $(WORKS_WITH)/python/ready $(WORKS_WITH)/node/node_modules/ready
	$(RUN_PYTHON) -m pytest tests/python/works_with.py -n auto

# The wheel on every CPython, the addon on every Node that can be had. The keyring is the same to all.
test-wheel: $(VENV)/tools
	bindings-python/scripts/test-wheel -- -n $(JOBS) -k "not keyring"

test-runtimes: $(VENV)/tools
	bindings-node/scripts/test-runtimes --test-concurrency=$(JOBS)

## Errors put into the core, one after the other: `make test` must find each of them.
mutants:
	tests/mutants

## What the tests try briefly, at length: a table of what was tried, how often, and what was lost.
## SCENARIOS picks some.
torture: $(VENV)/tools $(CODEX_PROGRAMS)
	$(MAKE) build
	# Programs that are not downloaded need not be small.
	CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=3 \
	  cargo build --quiet --release -p codex-auth-tests -p codex-auth-sdk --features codex-auth-sdk/cli
	clis=; for program in $(CODEX_PROGRAMS); do clis="$$clis$${clis:+:}$$PWD/$$program"; done; \
	PYTHON="$$PWD/$(RUN_PYTHON)" CODEX_CLIS="$${CODEX_CLIS:-$$clis}" \
	  target/$(CARGO_BUILD_TARGET)/release/torture $(SCENARIOS)

## Tests on Windows, as wine has it. Needs root, debootstrap and the network, and keeps 9 GB in target/windows.
test-windows:
	tests/windows

## What must hold of hostile input, with input that nobody thought of: each target for FUZZ_SECONDS.
## Needs cargo-fuzz and a C++ compiler; the toolchain at hand will do.
FUZZ_SECONDS ?= 60
fuzz:
	cd tests/fuzz && for target in $$(cargo fuzz list); do \
	  mkdir -p corpus/$$target; \
	  RUSTC_BOOTSTRAP=1 cargo fuzz run $$target corpus/$$target seeds/$$target -- \
	    -max_total_time=$(FUZZ_SECONDS) -max_len=16384 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1; \
	done

## Style, types and documentation in all three languages.
lint:
	@$(STEPS) $(PREPARED) -- lint-rust lint-python lint-node docs error-codes site banned versions

lint-rust: $(RUN_PYTHON)
	cargo fmt --check
	cargo clippy --workspace --all-targets $(FEATURES) -- -D warnings
	cargo clippy -p codex-auth-sdk --no-default-features -- -D warnings

lint-python: $(VENV)/tools
	$(RUN_PYTHON) -m ruff check bindings-python tests/python tests/works-with examples/python
	$(RUN_PYTHON) -m ruff format --check bindings-python tests/python tests/works-with examples/python
	$(RUN_PYTHON) -m ruff check --config bindings-python/pyproject.toml $(SCRIPTS)
	$(RUN_PYTHON) -m ruff format --check --config bindings-python/pyproject.toml $(SCRIPTS)
	$(RUN_PYTHON) -m mypy --strict --config-file bindings-python/pyproject.toml bindings-python/python tests/python examples/python
	cd bindings-python && "$(VIRTUAL_ENV)/bin/python" -m mypy.stubtest codex_auth_sdk
	cd bindings-python && "$(VIRTUAL_ENV)/bin/python" -m pyright
	$(RUN_PYTHON) bindings-python/scripts/stub-docs

# `build` has written the types anew.
lint-node: $(NPM_PACKAGES)
	git diff --exit-code -- bindings-node/native.d.ts
	npm --prefix bindings-node run check:types
	npm --prefix bindings-node run check:package

docs:
	RUSTDOCFLAGS="-D warnings" cargo doc -p codex-auth-sdk -p codex-auth-tests --no-deps $(FEATURES)
	cargo test --workspace $(FEATURES) --test public_api -- --ignored

# The page about errors has all of them.
error-codes:
	tests/error-codes

# The documentation site, into target/site, with the reference of each language; dead links and pages that
# are left out are errors.
site: docs $(VENV)/tools $(NPM_PACKAGES) bindings-node/typedoc/node_modules/ready
	rm -rf $(SITE_PAGES)
	cp -r docs $(SITE_PAGES)
	cp -r target/$(CARGO_BUILD_TARGET)/doc $(SITE_PAGES)/rust
	bindings-node/typedoc/node_modules/.bin/typedoc --options bindings-node/typedoc/typedoc.json \
	  --logLevel Warn --out $(SITE_PAGES)/node
	$(RUN_PYTHON) -m mkdocs build --strict --quiet

# One TLS stack, no system library, and a core that knows neither Python nor Node.
banned:
	for crate in openssl-sys native-tls aws-lc-sys libdbus-sys; do \
	  if cargo tree --workspace --target all -i "$$crate" 2>/dev/null | grep -q .; then \
	    echo "$$crate is in the tree"; exit 1; fi; done
	for crate in pyo3 napi; do \
	  if cargo tree -p codex-auth-sdk -i "$$crate" 2>/dev/null | grep -q .; then \
	    echo "the core depends on $$crate"; exit 1; fi; done

# All packages have one version.
versions:
	tests/version

## Licences, sources and known vulnerabilities; needs cargo-deny and the network.
deny:
	cargo deny check

## What the calls cost, in each language, and how large the libraries are; beside the Codex CLI, if it is
## there (`make codex-clis`).
bench: $(VENV)/tools $(NPM_PACKAGES)
	CODEX_CLIS="$${CODEX_CLIS:-$(addprefix $(CURDIR)/,$(firstword $(wildcard $(CODEX_PROGRAMS))))}" \
	  cargo bench -p codex-auth-sdk --features test-util,cli
	cargo bench -p codex-auth-tests --features codex-auth-sdk/test-util --bench fleet
	$(RUN_PYTHON) -m maturin develop --quiet --release -m bindings-python/Cargo.toml
	$(RUN_PYTHON) bindings-python/benches/bench.py
	$(RUN_PYTHON) bindings-python/benches/http_clients.py
	npm --prefix bindings-node run bench
	$(MAKE) sizes

sizes: $(VENV)/tools $(NPM_PACKAGES)
	$(RUN_PYTHON) -m maturin build --quiet --release -m bindings-python/Cargo.toml -o target/wheels
	npm --prefix bindings-node run build >/dev/null
	ls -l target/wheels/*.whl bindings-node/*.node target/$(CARGO_BUILD_TARGET)/release/*.so | awk '{print $$5, $$9}'

## What a release has, for the platforms of Linux or for TARGETS, into target/dist.
dist:
	tests/dist $(TARGETS)

## What `make dist` has built, installed in empty places and tried there.
test-install: build
	FEATURES="$(FEATURES)" tests/install target/dist

$(RUN_PYTHON):
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/tools: bindings-python/requirements-dev.txt | $(RUN_PYTHON)
	$(RUN_PYTHON) -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

$(WORKS_WITH)/python/ready: tests/works-with/python/requirements.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	echo "$$PWD/bindings-python/python" > \
	  "$$($(@D)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/codex_auth_sdk.pth"
	touch $@

$(WORKS_WITH)/node/package-lock.json: tests/works-with/node/package-lock.json
	mkdir -p $(@D)
	cp $(<D)/package.json $(<D)/.npmrc $< $(@D)

%/node_modules/ready: %/package-lock.json
	npm install --prefix $* --no-save --no-audit --no-fund
	touch $@

target/codex-%/codex:
	npm install --prefix $(@D) --no-audit --no-fund --no-save @openai/codex@$*
	cd $(@D) && ln -sf "$$(find node_modules -path '*/vendor/*' -name codex -type f)" codex

clean:
	rm -rf target $(VENV) bindings-node/node_modules bindings-node/dist $(AUTHORIZATION_SERVER)/node_modules examples/node/node_modules
