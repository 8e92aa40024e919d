# make demo        own environment, install, fetch, export, and answers about a real clip
# make test        own environment, install, lint, types, all tests
# make gpu-test    the tests that need a CUDA device, which make test skips without one
# make wheel-test  build the wheel and test it where there is no torch
# make lint | clean
# PYTHON=python3.12 chooses the interpreter. What is there already is used again; the fetched weights are in the user's cache (redvillm doctor).

PYTHON ?= python3
MODEL := redvillm-nano
CLIP := sample:bikes
QUESTION_1 := What is happening in the video?
QUESTION_2 := Is there a person?

DEMO := .venv-demo
TEST := .venv-test
WHEEL := .venv-wheel
TEST_BUNDLE := bundles/test
ORT_HEADERS := build/onnxruntime-headers
LINTED := src export runtime kernels training benchmarks tests scripts
PIP := -m pip --disable-pip-version-check

.SHELLFLAGS := -euc
.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: demo test gpu-test lint wheel-test clean

all_files = $(shell find $(1) -type f -not -path '*/__pycache__/*' -not -name '*.so' 2>/dev/null)
PACKAGE_SOURCES := pyproject.toml CMakeLists.txt $(wildcard README.md LICENSE) $(call all_files,src export runtime kernels training benchmarks)
EXPORT_SOURCES := $(call all_files,export) $(addprefix src/redvillm/,evenly.py fitting.py manifest.py prompt.py rotary.py zoo.py)

demo: $(DEMO)/.exported
	@# somebody may have emptied the cache since
	@$(DEMO)/bin/redvillm models --json | grep -q 'exported for cpu' || { $(DEMO)/bin/redvillm fetch $(MODEL); $(DEMO)/bin/redvillm export $(MODEL); }
	@echo "== two questions about the clip $(CLIP)"
	$(DEMO)/bin/redvillm ask $(CLIP) "$(QUESTION_1)" "$(QUESTION_2)"
	@echo "== go on with: $(DEMO)/bin/redvillm ask FILE \"your question\"   or: $(DEMO)/bin/redvillm live --source 0"

test: lint $(TEST_BUNDLE)/manifest.json
	@echo "== tests"
	REDVILLM_TEST_BUNDLE="$(CURDIR)/$(TEST_BUNDLE)" $(TEST)/bin/pytest tests

gpu-test: $(TEST)/.package
	@echo "== tests on a CUDA device"
	$(TEST)/bin/pytest tests -m gpu

lint: $(TEST)/.package
	@echo "== lint and types"
	$(TEST)/bin/ruff check $(LINTED)
	$(TEST)/bin/ruff format --check $(LINTED)
	$(TEST)/bin/mypy --config-file pyproject.toml
	find kernels tests -name '*.cpp' -o -name '*.h' -o -name '*.hpp' -o -name '*.cu' -o -name '*.cuh' | xargs -r $(TEST)/bin/clang-format --dry-run -Werror

wheel-test: $(WHEEL)/.package $(TEST_BUNDLE)/manifest.json
	@echo "== tests of the built wheel, without torch"
	REDVILLM_TEST_BUNDLE="$(CURDIR)/$(TEST_BUNDLE)" REDVILLM_TEST_WITHOUT_TORCH=1 $(WHEEL)/bin/pytest tests

clean:
	rm -rf $(DEMO) $(TEST) $(WHEEL) build dist bundles/test .mypy_cache .ruff_cache .pytest_cache .hypothesis

# Environments: created once, their dependencies installed when these change, redvillm when a source changes.

%/.created: | scripts/check_tools.sh
	@sh scripts/check_tools.sh "$(PYTHON)"
	@echo "== environment $(@D)"
	$(PYTHON) -m venv --clear $(@D)
	touch $@

$(DEMO)/.dependencies: EXTRAS := build cpu export
$(TEST)/.dependencies: EXTRAS := build dev
$(WHEEL)/.dependencies: EXTRAS := cpu
$(WHEEL)/.dependencies: TOOLS := pytest pytest-timeout hypothesis
%/.dependencies: %/.created pyproject.toml constraints.txt scripts/list_requirements.py
	@echo "== installing into $(@D): $(EXTRAS) $(TOOLS)"
	$(@D)/bin/python scripts/list_requirements.py $(EXTRAS) > $(@D)/requirements.txt
	$(@D)/bin/python $(PIP) install -c constraints.txt -r $(@D)/requirements.txt $(TOOLS)
	touch $@

# What the tests are run on has the op for ONNX Runtime, where its headers can be had; in CI they must be.
$(TEST)/.package dist/.built: $(ORT_HEADERS)/.folder
with_headers = ONNXRUNTIME_INCLUDE_DIR="$$(cat $(ORT_HEADERS)/.folder 2>/dev/null || echo "$${ONNXRUNTIME_INCLUDE_DIR:-}")"

$(ORT_HEADERS)/.folder: scripts/onnxruntime_headers.sh
	@echo "== headers of ONNX Runtime"
	mkdir -p $(@D)
	if folder=$$(sh scripts/onnxruntime_headers.sh "$(CURDIR)/$(@D)"); then \
		echo "$$folder" > $@; \
	elif test -n "$${CI:-}"; then \
		exit 1; \
	else \
		echo "no headers: built without the op for ONNX Runtime, whose tests will be skipped" && : > $@; \
	fi

$(DEMO)/.package $(TEST)/.package: %/.package: %/.dependencies $(PACKAGE_SOURCES)
	@echo "== building and installing redvillm into $(@D)"
	$(with_headers) $(@D)/bin/python $(PIP) install --no-deps --no-build-isolation --force-reinstall .
	touch $@

dist/.built: $(TEST)/.dependencies $(PACKAGE_SOURCES)
	@echo "== building the source distribution, and the wheel from it"
	rm -rf dist
	$(with_headers) $(TEST)/bin/python -m build --no-isolation --outdir dist .
	touch $@

$(WHEEL)/.package: $(WHEEL)/.dependencies dist/.built
	$(@D)/bin/python $(PIP) install --no-deps --no-index --force-reinstall dist/redvillm-*.whl
	$(@D)/bin/python $(PIP) check
	touch $@

# Bundles.

$(DEMO)/.exported: $(EXPORT_SOURCES) | $(DEMO)/.package
	@echo "== fetching and exporting $(MODEL)"
	$(DEMO)/bin/redvillm fetch $(MODEL) $(CLIP)
	$(DEMO)/bin/redvillm export $(MODEL) --target cpu --force
	touch $@

# Without a network the tests that need real weights are skipped; in CI that is an error.
$(TEST_BUNDLE)/manifest.json: $(EXPORT_SOURCES) | $(TEST)/.package
	@echo "== exporting $(MODEL) for the tests"
	if $(TEST)/bin/redvillm fetch $(MODEL); then \
		$(TEST)/bin/redvillm export $(MODEL) --target cpu --out $(@D) --force; \
	elif test -n "$${CI:-}"; then \
		exit 1; \
	else \
		echo "no weights: the tests that need them will be skipped"; \
	fi

.SECONDARY:
