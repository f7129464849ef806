# A few verbs; each one first sets up what the locks ask for. ARGS passes options on: make demo ARGS="--help".

export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
BIN := .venv/bin
# Touched when an environment agrees with its lock.
STAMP := .set-up

.PHONY: demo test test-brownie test-network check fuzz bench snap network network-engine setup
.DEFAULT_GOAL := setup

demo: setup
	@$(BIN)/trellis demo $(ARGS)

test: setup
	@tools/require forge
	@if find tests/contracts -name '*.t.sol' 2>/dev/null | grep -q .; then forge test; fi
	@$(BIN)/pytest -n 2 $(ARGS)

test-brownie: setup .venv-brownie/$(STAMP)
	@tests/brownie/run $(ARGS)

# On five validators; skipped where their engine cannot be built.
test-network: setup network-engine
	@TRELLIS_NETWORK=1 $(BIN)/pytest tests/network $(ARGS)

# The programs of validators, built with Go from pinned sources; minutes the first time, then kept in build/network.
network-engine: setup
	@$(BIN)/python -m settlement.network.engine --movable

# Boots them in DIR; `trellis network down --dir DIR` stops them.
DIR ?= network
network: network-engine
	@$(BIN)/trellis network up --dir $(DIR) $(ARGS)

check: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@tools/require forge
	@forge fmt --check
	@solhint --quiet --noPoster 'contracts/**/*.sol'
	@$(BIN)/slither .
	@$(BIN)/pytest -q tests/unit/test_imports.py

# Every format of meter records, RUNS inputs each; what is found is kept in build/fuzz.
RUNS ?= 20000
fuzz: .venv-fuzz/$(STAMP)
	@mkdir -p build
	@for each in $$(.venv-fuzz/bin/python tests/fuzz/fuzz_formats.py 2>/dev/null); do \
		echo "fuzz: $$each"; \
		.venv-fuzz/bin/python tests/fuzz/fuzz_formats.py $$each $(RUNS) 2>build/fuzz.log || { tail -40 build/fuzz.log; exit 1; }; \
	done

# The environment of what it compares with is needed for one bench only.
bench: setup $(if $(findstring match,$(ARGS)),.venv-peers/$(STAMP))
	@$(BIN)/trellis bench $(ARGS)

# What must not drift by accident: gas, bytecode size, ids, --help. Review the difference, then commit it.
snap: setup
	@tools/require forge
	@UPDATE_SNAPSHOTS=1 forge test --match-path '*Gas*'
	@UPDATE_SNAPSHOTS=1 $(BIN)/pytest -q tests/unit tests/chain/test_gas_snapshot.py tests/api/test_openapi.py

setup: .venv/$(STAMP) node_modules/$(STAMP)
	@:

.venv/$(STAMP): pyproject.toml uv.lock
	@tools/uv sync --frozen || tools/require packages Python
	@touch $@

node_modules/$(STAMP): package.json package-lock.json
	@tools/require node
	@npm ci --ignore-scripts --no-audit --no-fund || tools/require packages npm
	@touch $@

.venv-brownie/$(STAMP): pyproject.toml uv.lock
	@UV_PROJECT_ENVIRONMENT=.venv-brownie tools/uv sync --frozen --only-group brownie || tools/require packages Python
	@touch $@

.venv-fuzz/$(STAMP): pyproject.toml uv.lock
	@UV_PROJECT_ENVIRONMENT=.venv-fuzz tools/uv sync --frozen --group fuzz
	@touch $@

.venv-peers/$(STAMP): pyproject.toml uv.lock
	@UV_PROJECT_ENVIRONMENT=.venv-peers tools/uv sync --frozen --only-group peers
	@touch $@
