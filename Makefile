# make demo   a real clip through effect, server, key frames and in-betweens, into demo/
# make test   the tests
# make help   the other targets
PYTHON := .venv/bin/python
PACKAGES := engine server panel benchmarks demo tests
CPP_FILES = $(shell git ls-files '*.cpp' '*.h' '*.hpp' '*.cu' '*.cuh')

.PHONY: help setup demo test test-long check format bench plugin install-plugin panel wheel clean
.PHONY: distclean

help:
	@echo 'make setup      system packages, .venv, kernels, effect; quick when nothing changed'
	@echo 'make demo       renders a real clip through the whole chain into demo/'
	@echo 'make test       the tests'
	@echo 'make test-long  soaks, fuzzing, sanitizers'
	@echo 'make check      ruff, mypy, clang-format, buf lint, import-linter, compilers without a warning'
	@echo 'make format     writes what ruff and clang-format would'
	@echo 'make bench      the benchmarks, as tables'
	@echo 'make plugin     build/plugin/Inbetween.ofx.bundle'
	@echo 'make install-plugin  puts it where editors look (sudo, or inbetween install-plugin --user)'
	@echo 'make panel      opens the key-frame panel'
	@echo 'make wheel      dist/inbetween-*.whl, with kernels and effect, for pipx'
	@echo 'make clean      deletes what was built here; make distclean also the libraries and .venv'

setup:
	@tools/setup.sh

demo: setup
	@$(PYTHON) -m demo

test: setup
	@$(PYTHON) -m pytest -m 'not long' --numprocesses=2 --dist=loadfile

test-long: setup
	@$(PYTHON) -m pytest -m long --timeout=1800

check: setup
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check --quiet .
	@.venv/bin/mypy
	@.venv/bin/clang-format --dry-run --Werror $(CPP_FILES)
	@.venv/bin/buf lint protos
	@.venv/bin/lint-imports --quiet 2>/dev/null || .venv/bin/lint-imports
	@cmake -S . -B build/check -DINBETWEEN_WERROR=ON -DINBETWEEN_CUDA=OFF -DINBETWEEN_PLUGIN=ON \
	  -DINBETWEEN_TEST_HOST=ON -DPython3_EXECUTABLE="$$PWD/$(PYTHON)" >/dev/null
	@cmake --build build/check --parallel 2 >/dev/null

format: setup
	@.venv/bin/ruff check --fix --quiet . || true
	@.venv/bin/ruff format --quiet .
	@.venv/bin/clang-format -i $(CPP_FILES)

bench: setup
	@$(PYTHON) -m benchmarks.propagation
	@$(PYTHON) -m benchmarks.clip
	@$(PYTHON) -m benchmarks.coherence

plugin: setup
	@cmake --build build/plugin --target inbetween_ofx
	@echo 'build/plugin/Inbetween.ofx.bundle is built: make install-plugin puts it where editors look.'

install-plugin: plugin
	@.venv/bin/inbetween install-plugin

panel: setup
	@.venv/bin/inbetween panel

wheel: setup
	@$(PYTHON) -m pip wheel --no-deps --wheel-dir dist .

clean:
	rm -rf build/plugin build/check build/Release build/logs dist demo/out.mp4 demo/contact_sheet.png demo/panel.png

distclean: clean
	rm -rf build .venv
