# Threewire's host side. Every target sets up what it needs in .venv and build/; none needs root.
# `make` by itself prints what there is.

.DEFAULT_GOAL := help
SHELL := /bin/sh
PY := .venv/bin/python
READY := .venv/ready

.PHONY: help setup engines demo test test-all test-board accuracy reliability golden bench image \
	flash monitor capture calibrate drawings lint clean distclean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

setup: $(READY) ## make .venv with what the tools need, at the pinned versions: [PYTHON=…]
	@echo ".venv is ready"

# Names the Python to use, or says in one line what is missing. PYTHON=… goes before all others.
define FIND_PYTHON
python=; \
for name in "$(PYTHON)" python3 python3.13 python3.12 python3.11; do \
	if "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
		python=$$name; break; \
	fi; \
done; \
if [ -z "$$python" ]; then \
	echo "make: no Python 3.11 or later on PATH (python3: $$(python3 -V 2>/dev/null || echo none)); install one, or name it: make setup PYTHON=/path/to/python3" >&2; \
	exit 1; \
fi; \
if ! "$$python" -c 'import venv, ensurepip' 2>/dev/null; then \
	echo "make: $$python ($$("$$python" -V)) has no venv module; on Debian and Ubuntu: sudo apt install python3-venv" >&2; \
	exit 1; \
fi
endef

# All requirements as pip reads them, with what installs the project itself.
define LIST_REQUIREMENTS
import tomllib
found = tomllib.load(open("pyproject.toml", "rb"))
project = found["project"]
needs = (found["build-system"]["requires"], project["dependencies"])
for group in (*needs, *project["optional-dependencies"].values()):
    print(*group, sep="\n")
endef
export LIST_REQUIREMENTS

# A .venv whose Python is gone (upgraded, or the folder was moved) is made anew.
$(READY): pyproject.toml constraints.txt
	@if ! $(PY) -m pip --version >/dev/null 2>&1; then \
		$(FIND_PYTHON); \
		echo "Making .venv with $$("$$python" -V)"; \
		"$$python" -m venv --clear .venv; \
	fi
	@$(PY) -c "$$LIST_REQUIREMENTS" >.venv/requirements.txt
	@echo "Installing into .venv:" $$(cat .venv/requirements.txt)
	@$(PY) -m pip install --disable-pip-version-check -r .venv/requirements.txt -c constraints.txt
	@$(PY) -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
	@touch $@

engines: $(READY) ## get the MicroPython interpreters that run the firmware here, into build/
	@$(PY) -m tools.engines --get

# An engine that cannot be had stops neither the demo nor the tests: the one goes on with CPython,
# the others skip with the reason (and fail under CI=true).

demo: $(READY) ## meter a simulated house, and show what the LEDs and the registers do
	@$(PY) -m tools.engines --get micropython || true
	@$(PY) -m tools.demo

test: $(READY) ## run the tests, without the slow ones
	@$(PY) -m tools.engines --get || true
	$(PY) -m pytest -n 2 -m "not slow" host_tests

test-all: $(READY) ## run all tests
	@$(PY) -m tools.engines --get || true
	$(PY) -m pytest -n 2 host_tests

accuracy: $(READY) ## hold the meter's errors against the gates: table, build/accuracy.json and .png
	@$(PY) -m tools.engines --get micropython || true
	@$(PY) -m tools.accuracy

reliability: $(READY) ## cut power, soak, reset, flood: table and build/reliability.json
	@$(PY) -m tools.engines --get micropython || true
	@$(PY) -m tools.reliability

golden: $(READY) ## meter all recordings anew, show what differs from before, and keep it
	@$(PY) -m tools.engines --get micropython || true
	@$(PY) -m tools.golden

bench: $(READY) ## measure speed on the emulated RP2040 and on this machine, into build/bench.json
	@$(PY) -m tools.engines --get || true
	@$(PY) -m tools.bench

test-board: $(READY) ## run the whole firmware on the emulated RP2040
	@$(PY) -m tools.engines --get micropython || true
	$(PY) -m pytest -n 2 -m rp2040 host_tests

# Only what is given with the command counts: PORT and the like are common in environments.
given = $(if $(filter command,$(origin $(1))),$($(1)))
# What each target takes; anything else would be dropped without a word.
TAKES_image := BOARD FLASH
TAKES_flash := BOARD PORT TIMEOUT
TAKES_monitor := PORT TIMEOUT CSV PLOT
TAKES_capture := PORT TIMEOUT SECONDS OUT
TAKES_calibrate := PORT TIMEOUT OPTIONS
TAKEN := $(foreach goal,$(MAKECMDGOALS),$(TAKES_$(goal)))
NAMES := $(foreach word,$(MAKEOVERRIDES),$(firstword $(subst =, ,$(word))))
$(foreach name,$(filter-out $(TAKEN) PYTHON PY SHELL,$(NAMES)),$(if $(filter command,$(origin $(name))),\
	$(error $(or $(MAKECMDGOALS),help) takes no $(name); $(if $(TAKEN),there are $(strip $(TAKEN)),leave it out))))
$(foreach name,$(TAKEN),$(if $(filter command,$(origin $(name))),$(if $($(name)),,\
	$(error $(name) is empty: give it a value or leave it out))))
# An option of a tool, with the value of a variable that was given.
option = $(if $(call given,$(2)),$(1) "$(call given,$(2))")
# Where the board is: PORT=/dev/ttyACM0; without it, the only one there is.  TIMEOUT: seconds it
# may take to answer, for a slow one.
AT = $(call option,--port,PORT) $(call option,--timeout,TIMEOUT)

# A Pico's flash is the one that is emulated: make image FLASH=pico
image: $(READY) ## build a board's file system into build/: [BOARD=…] [FLASH=…]
	@$(PY) -m tools.image $(call option,--board,BOARD) $(call option,--flash,FLASH)

# The board file must be meant: without BOARD=… it is that which the board was flashed with.
flash: $(READY) ## put the firmware on a board: BOARD=… [PORT=…]
	@$(PY) -m tools.flash $(call option,--board,BOARD) $(AT)

# Ctrl-C is the way to end it, and no error: the shell outlives it, and 130 is a good end.
monitor: $(READY) ## watch a board: [PORT=…] [CSV=…] [PLOT=…]
	@trap : INT; \
	$(PY) -m tools.monitor $(AT) $(call option,--csv,CSV) $(call option,--plot,PLOT) || \
		{ status=$$?; [ $$status -eq 130 ] || exit $$status; }

capture: $(READY) ## get raw codes off a board, and replay them: [SECONDS=…] [PORT=…] [OUT=…]
	@$(PY) -m tools.engines --get micropython || true
	@$(PY) -m tools.capture $(AT) $(call option,--seconds,SECONDS) $(call option,--out,OUT)

calibrate: $(READY) ## calibrate a board beside a reference: [PORT=…] [OPTIONS="--restore FILE"]
	@$(PY) -m tools.calibrate $(AT) $(call given,OPTIONS)

drawings: $(READY) ## make the drawings of boards, circuits and lamps anew
	@$(PY) -m tools.drawings

lint: $(READY) ## check style, types and who imports whom
	@status=0; \
	for check in "ruff check ." "ruff format --check ." pyright; do \
		echo "$(PY) -m $$check"; $(PY) -m $$check || status=1; \
	done; \
	echo lint-imports; PYTHONPATH=firmware:tools/shim .venv/bin/lint-imports || status=1; \
	exit $$status

clean: ## remove build/
	rm -rf build

distclean: clean ## remove build/ and .venv
	rm -rf .venv
