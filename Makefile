# Works with any POSIX make and sh. Everything happens inside .venv; the system's Python is left as it is.

VENV = .venv
BIN = $(VENV)/bin
INSTALLED = $(VENV)/.installed

# The first of these that is Python 3.10 to 3.13 (what TensorFlow has releases for) and can make virtual
# environments. `make PYTHON=/path/to/python` names another.
PYTHON = python3.11 python3.12 python3.13 python3.10 python3
WORKERS = 2
FIND_PYTHON = for name in $(PYTHON); do \
		"$$name" -c 'import sys, ensurepip, venv; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' \
			2>/dev/null && python="$$name" && break; \
	done; \
	if [ -z "$$python" ]; then \
		echo 'Python 3.10 to 3.13 with its venv module is needed; tried: $(PYTHON).' \
			'Install one (Debian, Ubuntu: apt install python3-venv) or name it: make PYTHON=/path/to/python' >&2; \
		exit 1; \
	fi

.PHONY: help venv demo test test-arm64 test-armhf device-wheel check lint format lock clean

help:
	@echo 'make demo             draw a picture set, train, convert to .tflite, classify: the whole way'
	@echo 'make demo PHOTOS=DIR  the same with your own pictures, one folder per class'
	@echo 'make test             run the tests'
	@echo 'make test-arm64       the tests of the runtime on emulated 64-bit Raspberry Pi software (Debian; ten minutes)'
	@echo 'make test-armhf       the same on 32 bits'
	@echo 'make device-wheel     a wheel of runtime alone, 0.3 MB, in dist/device'
	@echo 'make check            what CI runs: format, lint, types, import rules, tests'
	@echo 'make lint             the same without the tests'
	@echo 'make format           put the code in its standard form'
	@echo 'make lock             choose new versions for requirements-dev.lock'
	@echo 'make clean            remove what make made: .venv, build, caches (your models stay)'
	@echo
	@echo 'The first call makes the virtual environment $(VENV) and downloads about 0.5 GB, TensorFlow most of it.'
	@echo 'After "make venv" the commands are $(BIN)/toolkit and $(BIN)/runtime.'

venv: $(INSTALLED)

# Without its stamp an environment is half made or half updated, and is made anew.
$(INSTALLED): pyproject.toml requirements-dev.lock
	@python=; $(FIND_PYTHON); \
	[ -f $(INSTALLED) ] && $(BIN)/python -c '' 2>/dev/null || { \
		echo "Making $(VENV) with $$("$$python" --version)"; \
		rm -rf $(VENV) && "$$python" -m venv $(VENV) || exit 1; \
	}; \
	rm -f $(INSTALLED); \
	if [ "$$(uname -sm)" = 'Linux x86_64' ] && command -v nvidia-smi >/dev/null; then \
		extras=test,train size='0.8 GB'; \
	else \
		extras=dev size='0.5 GB'; \
	fi; \
	echo "Installing into $(VENV): a download of about $$size the first time, some minutes"; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		-c requirements-dev.lock -e ".[$$extras]" || exit 1; \
	touch $(INSTALLED); \
	echo "Ready: $(BIN)/toolkit and $(BIN)/runtime"

demo: $(INSTALLED)
	@$(BIN)/python samples/demo.py $${PHOTOS:+"$$PHOTOS"}

# Most tests wait for a process of their own; two files at a time keep two cores busy. A worker may need 5 GB.
test: $(INSTALLED)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-arm64 test-armhf: test-%: $(INSTALLED)
	PYTHON=$(abspath $(BIN)/python) tests/arm/test.sh $*

device-wheel: $(INSTALLED)
	PYTHON=$(abspath $(BIN)/python) samples/device_wheel.sh dist/device

check: lint test

lint: $(INSTALLED)
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED)
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

# The markers that all lines share ([tool.uv] in pyproject.toml) are taken out, to leave something readable.
lock:
	@python=; $(FIND_PYTHON); "$$python" -m venv build/lock
	build/lock/bin/python -m pip install --quiet --disable-pip-version-check --upgrade uv
	build/lock/bin/uv pip compile --quiet --universal --upgrade --python-version 3.10 --no-annotate \
		--no-emit-index-url --custom-compile-command 'make lock' \
		--extra dev --extra train pyproject.toml --output-file build/lock/lock.txt
	sed -e "s/ and python_full_version < '3.14'//; s/python_full_version < '3.14' and //" \
		-e "s/ and platform_machine != 'armv7l'//g; s/platform_machine != 'armv7l' and //g" \
		-e "s/ ; platform_machine != 'armv7l'$$//" build/lock/lock.txt > requirements-dev.lock

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find toolkit converters runtime samples tests -name __pycache__ -type d -prune -exec rm -rf {} +
