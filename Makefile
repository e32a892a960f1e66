# Threewire's host side. Every target sets up what it needs in .venv and build/; none needs root.
# `make` by itself prints what there is.

.DEFAULT_GOAL := help
SHELL := /bin/sh
PY := .venv/bin/python
READY := .venv/ready

# Only what is given with the command counts: PORT and the like are common in environments.
given = $(if $(filter command,$(origin $(1))),$($(1)))
# What each target takes; anything else would be dropped without a word.
TAKES_setup := GROUP
TAKES_lock := UPGRADE
TAKES_image := BOARD FLASH
TAKES_uf2 := BOARD MICROPYTHON OUT
TAKES_flash := BOARD PORT TIMEOUT ANY_BUILD
TAKES_monitor := PORT TIMEOUT CSV PLOT
TAKES_console := PORT TIMEOUT
TAKES_serve := PORT CONFIG
TAKES_capture := PORT TIMEOUT SECONDS OUT
TAKES_provision := PORT TIMEOUT OPTIONS
TAKES_selftest := PORT TIMEOUT OPTIONS
TAKES_calibrate := PORT TIMEOUT OPTIONS
TAKES_regress := DIR OPTIONS
TAKEN := $(foreach goal,$(MAKECMDGOALS),$(TAKES_$(goal)))
NAMES := $(foreach word,$(MAKEOVERRIDES),$(firstword $(subst =, ,$(word))))
$(foreach name,$(filter-out $(TAKEN) PYTHON PY SHELL,$(NAMES)),$(if $(filter command,$(origin $(name))),\
	$(error $(or $(MAKECMDGOALS),help) takes no $(name); $(if $(TAKEN),there are $(strip $(TAKEN)),leave it out))))
$(foreach name,$(TAKEN),$(if $(filter command,$(origin $(name))),$(if $($(name)),,\
	$(error $(name) is empty: give it a value or leave it out))))
# An option of a tool, with the value of a variable that was given, in which the shell reads nothing.
option = $(if $(call given,$(2)),$(1) '$(subst ','\'',$(call given,$(2)))')

.PHONY: help setup lock engines demo test test-all test-board accuracy reliability regress golden bench image \
	uf2 flash monitor serve console provision selftest capture calibrate drawings lint clean distclean

# Two at once would install into one .venv.
.NOTPARALLEL:

help: ## print this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

GROUPS := $(filter-out build,$(patsubst requirements/%.txt,%,$(wildcard requirements/*.txt)))
$(if $(filter-out $(GROUPS),$(call given,GROUP)),$(error GROUP=$(GROUP): expected one of $(GROUPS)))
setup: $(READY)-$(or $(call given,GROUP),lint) ## get all packages into .venv, or a group's: [GROUP=…] [PYTHON=…]
	@echo ".venv is ready"

# Names the Python to use, or says in one line what is missing. PYTHON=… goes before all others.
define FIND_PYTHON
python=; \
for name in "$(PYTHON)" $(PY) python3 python3.13 python3.12 python3.11; do \
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

# What each target needs, no more: tools/common/install.py gets it, and makes .venv anew where that
# is gone (its Python upgraded, the folder moved) or was cut short half-way.
$(READY)-%: requirements/%.txt requirements/build.txt pyproject.toml
	@$(FIND_PYTHON); "$$python" -m tools.common.install $*

# Versions as pyproject.toml has them, and those of what they bring along as they are: a new one is
# asked for with UPGRADE="--upgrade", or "--upgrade-package NAME".
LOCK = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command "make lock" $(call given,UPGRADE)

lock: ## pin, with hashes, what pyproject.toml asks for, in requirements/: [UPGRADE=…]; needs uv
	@sed -n 's/^requires = \["\(.*\)"\]$$/\1/p' pyproject.toml | $(LOCK) -o requirements/build.txt -
	@$(LOCK) --extra lint -o requirements/lint.txt pyproject.toml
	@for group in board emulator accuracy recordings regress serve test; do \
		$(LOCK) --extra $$group -c requirements/lint.txt -o requirements/$$group.txt \
			pyproject.toml || exit; \
	done
	@$(LOCK) -c requirements/lint.txt -o requirements/demo.txt pyproject.toml

engines: $(READY)-demo ## get the MicroPython interpreters that run the firmware here, into build/
	@$(PY) -m tools.engines --get

# An engine that cannot be had stops neither the demo nor the tests: the one goes on with CPython,
# the others skip with the reason (and fail under CI=true).

demo: $(READY)-demo ## meter a simulated house, and show what the LEDs and the registers do
	@$(PY) -m tools.engines --get micropython || true
	@$(PY) -m tools.demo

test: $(READY)-test ## run the tests, without the slow ones
	@$(PY) -m tools.engines --get || true
	$(PY) -m pytest -n 2 -m "not slow" host_tests

test-all: $(READY)-test ## run all tests
	@$(PY) -m tools.engines --get || true
	$(PY) -m pytest -n 2 host_tests

accuracy: $(READY)-accuracy ## hold the meter's errors against the gates: table, build/accuracy.json and .png
	@$(PY) -m tools.engines --get micropython || true
	@$(PY) -m tools.accuracy

reliability: $(READY)-test ## cut power, soak, reset, flood: table and build/reliability.json
	@$(PY) -m tools.engines --get micropython || true
	@$(PY) -m tools.reliability

regress: $(READY)-regress ## replay all recordings in a folder, and compare: DIR=… [OPTIONS="--update"]
	@$(PY) -m tools.engines --get micropython || true
	@$(PY) -m tools.regress $(call given,OPTIONS) $(call option,--,DIR)

golden: $(READY)-regress ## meter all recordings anew, show what differs from before, and keep it
	@$(PY) -m tools.engines --get micropython || true
	@$(PY) -m tools.golden

bench: $(READY)-emulator $(READY)-regress $(READY)-serve ## measure speed on the emulated RP2040 and on this machine, into build/bench.json
	@$(PY) -m tools.engines --get || true
	@$(PY) -m tools.bench

test-board: $(READY)-test ## run the whole firmware on the emulated RP2040
	@$(PY) -m tools.engines --get micropython || true
	$(PY) -m pytest -n 2 -m rp2040 host_tests

# Where the board is: PORT=/dev/ttyACM0; without it, the only one there is.  TIMEOUT: seconds it
# may take to answer, for a slow one.
AT = $(call option,--port,PORT) $(call option,--timeout,TIMEOUT)

# A Pico's flash is the one that is emulated: make image FLASH=pico
image: $(READY)-board ## build a board's file system into build/: [BOARD=…] [FLASH=…]
	@$(PY) -m tools.image $(call option,--board,BOARD) $(call option,--flash,FLASH)

# The official MicroPython of the very board, as it is downloaded.
uf2: $(READY)-board ## join MicroPython and the firmware, for a fresh board: BOARD=… MICROPYTHON=FILE.uf2 [OUT=…]
	@$(PY) -m tools.uf2 $(call option,--board,BOARD) $(call option,--micropython,MICROPYTHON) \
		$(call option,--out,OUT)

# The board file must be meant: without BOARD=… it is that which the board was flashed with.
# ANY_BUILD=1: also where the board's MicroPython is made for another board.
$(if $(filter-out 1,$(call given,ANY_BUILD)),$(error ANY_BUILD=$(ANY_BUILD): expected 1, or leave it out))
flash: $(READY)-board ## put the firmware on a board: BOARD=… [PORT=…] [ANY_BUILD=1]
	@$(PY) -m tools.flash $(call option,--board,BOARD) $(AT) $(if $(call given,ANY_BUILD),--any-build)

# What Ctrl-C is the way to end, and no error: the shell outlives it, and 130 is a good end.
until_ctrl_c = trap : INT; $(1) || { status=$$?; [ $$status -eq 130 ] || exit $$status; }

monitor: $(READY)-board ## watch a board: [PORT=…] [CSV=…] [PLOT=…]
	@$(call until_ctrl_c,$(PY) -m tools.monitor $(AT) $(call option,--csv,CSV) $(call option,--plot,PLOT))

serve: $(READY)-serve ## hand boards' reports on to the network: [PORT=…] [CONFIG=gateway.toml]
	@$(call until_ctrl_c,$(PY) -m tools.serve $(call option,--config,CONFIG) $(call option,--port,PORT))

console: $(READY)-board ## type commands to a board: [PORT=…]
	@$(call until_ctrl_c,$(PY) -m tools.console $(AT))

provision: $(READY)-board ## tell a board its Wi-Fi, broker and names: [PORT=…] [OPTIONS="--from FILE"]
	@$(PY) -m tools.provision $(AT) $(call given,OPTIONS)

selftest: $(READY)-board ## let a board prove itself, no instrument needed: [PORT=…] [OPTIONS="--no-load"]
	@$(PY) -m tools.engines --get micropython || true
	@$(PY) -m tools.selftest $(AT) $(call given,OPTIONS)

capture: $(READY)-board ## get raw codes off a board, and replay them: [SECONDS=…] [PORT=…] [OUT=…]
	@$(PY) -m tools.engines --get micropython || true
	@$(PY) -m tools.capture $(AT) $(call option,--seconds,SECONDS) $(call option,--out,OUT)

calibrate: $(READY)-board ## calibrate a board beside a reference: [PORT=…] [OPTIONS="--restore FILE"]
	@$(PY) -m tools.calibrate $(AT) $(call given,OPTIONS)

drawings: $(READY)-demo ## make the drawings of boards, circuits and lamps anew
	@$(PY) -m tools.drawings

lint: $(READY)-lint ## check style, types and who imports whom
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
