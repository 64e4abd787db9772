# `make demo` and `make test` set up everything they need on a fresh machine with Python >= 3.11.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
DEVELOPS := $(VENV)/.develops
# One thread a process: a busy neighbour core makes OpenMP's spinning threads many times slower than one.
QUIET  := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive TOKENIZERS_PARALLELISM=false

.PHONY: demo test test-all lint format docs clean

demo: $(READY)
	$(QUIET) $(BIN)/recloop demo --jobs 2

test: $(DEVELOPS)
	$(QUIET) $(BIN)/pytest -n 2 --dist loadfile -m "not slow" $(ARGS)

test-all: $(DEVELOPS)
	$(QUIET) $(BIN)/pytest $(ARGS)

lint: $(DEVELOPS) .typing/recloop
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python .ci/names.py
	$(BIN)/mypy
	PYTHONPATH=.typing $(BIN)/lint-imports --no-logo

# The site lands in build/docs/site; a link that leads nowhere fails it.
docs: $(DEVELOPS)
	$(BIN)/python docs/build_site.py
	cd build/docs && NO_MKDOCS_2_WARNING=1 ../../$(BIN)/mkdocs build --quiet
	@echo "the site is in build/docs/site"

format: $(DEVELOPS)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# One line a step; what pip prints (warnings, a line a package) goes to a file that is shown where a step fails.
PIP_LOG := $(VENV)/pip.log
INSTALL = $(BIN)/pip install --disable-pip-version-check --constraint constraints.txt
define quietly
	@echo "$(1)"
	@$(2) >>$(PIP_LOG) 2>&1 || { tail -n 30 $(PIP_LOG); exit 1; }
endef

# torch comes first and pinned: left to another package's range, pip takes the newest build with its CUDA libraries.
$(READY): pyproject.toml constraints.txt
	@test -x $(BIN)/python || { echo "creating $(VENV)"; $(PYTHON) -m venv $(VENV); }
	$(call quietly,installing torch (the largest part of the download),$(INSTALL) torch)
	$(call quietly,installing recloop and what it needs,$(INSTALL) --editable .)
	@touch $(READY)

$(DEVELOPS): $(READY)
	$(call quietly,installing what the tests need,$(INSTALL) --editable ".[dev]")
	@touch $(DEVELOPS)

# Type checkers look a package up by its folder's name; this checkout may have any.
.typing/recloop:
	mkdir -p .typing && ln -sfn .. .typing/recloop

clean:
	rm -rf $(VENV) .typing build *.egg-info .mypy_cache .ruff_cache .pytest_cache
