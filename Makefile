# `make demo` shows it, `make test` proves it. Both work in a fresh clone that has Rust, Python 3.10
# or later, Node 20 or later and a C linker.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-builtin-rules

# One target for cargo, maturin and napi, so that they share what they build.
export CARGO_BUILD_TARGET ?= $(shell rustc -vV | sed -n 's/^host: //p')
BUILT := target/$(CARGO_BUILD_TARGET)/debug
PYTHON ?= python3
VENV := .venv
export VIRTUAL_ENV := $(CURDIR)/$(VENV)
export TEST_ISSUER := $(CURDIR)/$(BUILT)/test-issuer
# The real Codex CLI: the newest, and one that truncates auth.json in place and takes no lock.
export CODEX_CLIS ?= $(CURDIR)/target/codex-0.169.0/codex:$(CURDIR)/target/codex-0.128.0/codex
CODEX_PROGRAMS := $(subst :, ,$(CODEX_CLIS))
AUTHORIZATION_SERVER := tests/oidc-provider
CARGO_TEST := $(shell cargo nextest --version >/dev/null 2>&1 && echo cargo nextest run || echo cargo test)

# A login of the machine's own must not leak into a test.
unexport CODEX_HOME CODEX_API_KEY CODEX_ACCESS_TOKEN CODEX_REFRESH_TOKEN_URL_OVERRIDE
unexport CODEX_REVOKE_TOKEN_URL_OVERRIDE CODEX_APP_SERVER_LOGIN_CLIENT_ID
unexport CODEX_INTERNAL_ORIGINATOR_OVERRIDE CODEX_CA_CERTIFICATE

.PHONY: demo test test-rust test-python test-node test-contention test-foreign test-versions torture fuzz
.PHONY: lint lint-rust lint-python lint-node docs banned deny bench sizes python node programs clean

## The main job: many programs, one login. CODEX=1 fetches the real Codex CLI to take part.
demo: python node programs $(if $(CODEX),$(firstword $(CODEX_PROGRAMS)))
	codex="$$(command -v codex || true)"; \
	if [ -n "$(CODEX)" ]; then codex=$(firstword $(CODEX_PROGRAMS)); fi; \
	$(BUILT)/demo --python $(VENV)/bin/python --node node $${codex:+--codex "$$codex"} $(DEMO)

## All tests of all three languages.
test: test-rust test-python test-node test-contention test-foreign test-versions

test-rust: $(VENV)/bin/python
	$(CARGO_TEST) --workspace --features codex-auth-sdk/test-util
	cargo test --doc -p codex-auth-sdk

test-python: python programs $(VENV)/tools
	$(VENV)/bin/python -m pytest tests/python

test-node: node programs
	npm --prefix bindings-node test

# Processes in three languages race for one login and are killed over it, and the examples run.
test-contention: python node programs $(VENV)/tools $(AUTHORIZATION_SERVER)/node_modules/ready
	PYTHON=$(VIRTUAL_ENV)/bin/python $(CARGO_TEST) -p codex-auth-tests --features bindings --test contention --test authorization_server --test real_login --test networks --test crash --test session_keyring --test endpoint_crowds --test examples --test guardian_examples --test foreign

# The real Codex CLI on the same login, whoever made it.
test-foreign: python node programs $(CODEX_PROGRAMS)
	PYTHON=$(VIRTUAL_ENV)/bin/python $(CARGO_TEST) -p codex-auth-tests --features codex-cli --test codex_cli --test codex_login --test codex_stores --test codex_encrypted --test guardian

## What the tests try briefly, at length: a table of what was tried, how often, and what was lost.
## SCENARIOS picks some.
torture: python node programs $(VENV)/tools $(CODEX_PROGRAMS)
	cargo build --quiet --release -p codex-auth-tests -p codex-auth-examples
	PYTHON=$(VIRTUAL_ENV)/bin/python target/$(CARGO_BUILD_TARGET)/release/torture $(SCENARIOS)

## What must hold of hostile input, with input that nobody thought of: each target for FUZZ_SECONDS.
## Needs cargo-fuzz and a C++ compiler; the toolchain at hand will do.
FUZZ_SECONDS ?= 60
fuzz:
	cd tests/fuzz && for target in $$(cargo fuzz list); do \
	  mkdir -p corpus/$$target; \
	  RUSTC_BOOTSTRAP=1 cargo fuzz run $$target corpus/$$target seeds/$$target -- \
	    -max_total_time=$(FUZZ_SECONDS) -max_len=16384 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1; \
	done

# The wheel on every CPython, the addon on every Node that can be had. The keyring is the same to all.
test-versions: programs $(VENV)/tools node
	bindings-python/scripts/test-wheel -- -k "not keyring"
	bindings-node/scripts/test-runtimes

lint: lint-rust lint-python lint-node docs banned

lint-rust: $(VENV)/bin/python
	cargo fmt --check
	cargo clippy --workspace --all-targets --features codex-auth-sdk/test-util,codex-auth-tests/codex-cli -- -D warnings
	cargo clippy -p codex-auth-sdk -- -D warnings  # the core without its features

lint-python: python $(VENV)/tools
	$(VENV)/bin/ruff check bindings-python tests/python examples/python
	$(VENV)/bin/ruff format --check bindings-python tests/python examples/python
	$(VENV)/bin/mypy --strict --config-file bindings-python/pyproject.toml bindings-python/python tests/python examples/python
	cd bindings-python && $(VIRTUAL_ENV)/bin/python -m mypy.stubtest codex_auth_sdk
	cd bindings-python && $(VIRTUAL_ENV)/bin/pyright

lint-node: node
	npm --prefix bindings-node run check:types

docs:
	RUSTDOCFLAGS="-D warnings" cargo doc -p codex-auth-sdk -p codex-auth-tests --no-deps

# One TLS stack, no system library, and a core that knows neither Python nor Node.
banned:
	for crate in openssl-sys native-tls aws-lc-sys libdbus-sys; do \
	  if cargo tree --workspace --target all -i "$$crate" 2>/dev/null | grep -q .; then \
	    echo "$$crate is in the tree"; exit 1; fi; done
	for crate in pyo3 napi; do \
	  if cargo tree -p codex-auth-sdk -i "$$crate" 2>/dev/null | grep -q .; then \
	    echo "the core depends on $$crate"; exit 1; fi; done

## Licences, sources and known vulnerabilities; needs cargo-deny and the network.
deny:
	cargo deny check

## What the calls cost, in each language, and how large the libraries are.
bench: $(VENV)/tools bindings-node/node_modules/ready
	cargo bench -p codex-auth-sdk --features test-util
	$(VENV)/bin/maturin develop --quiet --release -m bindings-python/Cargo.toml
	$(VENV)/bin/python bindings-python/benches/bench.py
	$(VENV)/bin/python bindings-python/benches/http_clients.py
	npm --prefix bindings-node run bench
	$(MAKE) sizes

sizes: $(VENV)/bin/maturin bindings-node/node_modules/ready
	$(VENV)/bin/maturin build --quiet --release -m bindings-python/Cargo.toml -o target/wheels
	npm --prefix bindings-node run build >/dev/null
	ls -l target/wheels/*.whl bindings-node/*.node target/$(CARGO_BUILD_TARGET)/release/*.so | awk '{print $$5, $$9}'

python: $(VENV)/bin/maturin
	$(VENV)/bin/maturin develop --quiet -m bindings-python/Cargo.toml

node: bindings-node/node_modules/ready examples/node/node_modules/ready
	npm --prefix bindings-node run build:debug

programs:
	cargo build --quiet -p codex-auth-tests -p codex-auth-examples

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/bin/maturin: | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet "maturin>=1.16,<2"

$(VENV)/tools: bindings-python/requirements-dev.txt | $(VENV)/bin/maturin
	$(VENV)/bin/python -m pip install --quiet -r $<
	touch $@

%/node_modules/ready: %/package-lock.json
	npm install --prefix $* --no-save --no-audit --no-fund
	touch $@

$(CURDIR)/target/codex-%/codex:
	npm install --prefix $(@D) --no-audit --no-fund --no-save @openai/codex@$*
	cd $(@D) && ln -sf "$$(find node_modules -path '*/vendor/*' -name codex -type f)" codex

clean:
	rm -rf target $(VENV) bindings-node/node_modules bindings-node/dist $(AUTHORIZATION_SERVER)/node_modules examples/node/node_modules
