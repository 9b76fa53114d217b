# make run       installs all, trains on the shipped data if the registry is empty, and serves on 127.0.0.1:8000
# make test      installs all and runs the checks and the tests, on every core
# make test-all  the same and, after it, the tests that take long: containers on a real engine, long crash runs
# make reliability  runs what docs/reliability.md shows, a quarter of an hour, and writes what it counted there
# make reference  writes docs/commands.md again, from the commands themselves
# make dist      builds the wheel and the source archive of this version into dist/
# make bill-of-materials  writes what an installation brings along into build/, in CycloneDX's format
# make lock      renews the locked requirements from pyproject.toml
PYTHON ?= python3
STATURE = .venv/bin/stature
RUNTIME = .venv/runtime-installed
DEVELOPMENT = .venv/development-installed
PIP_INSTALL = .venv/bin/python -m pip install --quiet --disable-pip-version-check
LOCK = uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header

.PHONY: run install test test-all reliability reference dist lint format lock bill-of-materials clean
.DELETE_ON_ERROR:

run: $(RUNTIME)
	exec $(STATURE) up

install: $(DEVELOPMENT)

# Only relative paths, so a folder with a space in its name is no matter.
$(RUNTIME): pyproject.toml requirements/build.txt requirements/runtime.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Stature needs Python 3.11 or newer, and this is " + sys.version + ". Name another: make PYTHON=python3.12")'
	$(PYTHON) -m venv --clear .venv
	$(PIP_INSTALL) --require-hashes -r requirements/build.txt -r requirements/runtime.txt
	$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	touch $(RUNTIME)

$(DEVELOPMENT): $(RUNTIME) requirements/development.txt
	$(PIP_INSTALL) --require-hashes -r requirements/development.txt
	touch $(DEVELOPMENT)

lint: install
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports

format: install
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

test: lint
	.venv/bin/coverage erase
	.venv/bin/coverage run -m pytest --numprocesses $$(($$(getconf _NPROCESSORS_ONLN) + 1)) --dist worksteal -m "not slow"
	.venv/bin/coverage combine --quiet
	.venv/bin/coverage report --fail-under 95

test-all: test
	.venv/bin/python -m pytest -m slow

reliability: install
	.venv/bin/python -m pytest --write-reliability

reference: install
	PYTHONPATH=tests .venv/bin/python -m command_reference

dist: $(RUNTIME)
	rm -rf dist
	.venv/bin/python -m hatchling build

lock:
	$(LOCK) pyproject.toml --group build --group development --output-file requirements/development.txt
	$(LOCK) pyproject.toml --extra reports --constraints requirements/development.txt --output-file requirements/runtime.txt
	$(LOCK) pyproject.toml --extra reports --extra object-storage --constraints requirements/development.txt --output-file requirements/object-storage.txt
	$(LOCK) pyproject.toml --extra object-storage --excludes requirements/training-only.in --constraints requirements/development.txt --output-file requirements/serving.txt
	$(LOCK) --group kubernetes --output-file requirements/kubernetes.txt
	$(LOCK) --group build --constraints requirements/development.txt --output-file requirements/build.txt

bill-of-materials: install
	mkdir -p build
	.venv/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible \
	    --output-file build/bill-of-materials.json requirements/runtime.txt

clean:
	rm -rf .venv .benchmarks build dist .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
