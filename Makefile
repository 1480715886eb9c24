# The two commands of a fresh clone are `make demo` and `make test`. Each sets up all it needs (scripts/setup.sh).

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup build demo test unit python asan tsan plain fuzz check bench lint format clean

help:
	@echo "make build   the tool at build/graft, the Python environment with the judges at .venv"
	@echo "make demo    build, then the main job on a model that ships here"
	@echo "make test    build, then every test: check, unit, python, asan"
	@echo ""
	@echo "make check   formatting and structure only      make unit    C++ tests only (release build)"
	@echo "make python  Python tests and judges only       make asan    unit tests under ASan and UBSan, by Clang"
	@echo "make tsan    unit tests under TSan              make plain   unit tests of a build without oneDNN"
	@echo "make fuzz    the fuzz harnesses, FUZZ_SECONDS (60) each, under ASan and UBSan"
	@echo "make bench   speed against onnxruntime          make lint    check, then clang-tidy"
	@echo "make format  format all C++ sources in place    make clean   remove the build folders (.venv stays)"

setup:
	@scripts/setup.sh

build: setup
	@scripts/build.sh release

demo: build
	@scripts/demo.sh

# tsan and plain are runs of their own: each is one more build of everything.
test: build check unit python asan

check: setup
	@scripts/format.sh --check
	@.venv/bin/python -m unittest discover -s tests/structure

unit: build
	@scripts/unit_tests.sh release

python: build
	@scripts/python_tests.sh

asan: setup
	@scripts/build.sh asan
	@scripts/unit_tests.sh asan

tsan: setup
	@scripts/build.sh tsan
	@scripts/unit_tests.sh tsan

plain: setup
	@scripts/build.sh plain
	@scripts/unit_tests.sh plain

fuzz: build
	@scripts/build.sh asan
	@scripts/fuzz.sh

bench: build
	@scripts/bench.sh

lint: check
	@scripts/tidy.sh

format: setup
	@scripts/format.sh

clean:
	rm -rf build build-dev build-asan build-tsan build-plain build-tidy
