"""All commands under one name: `threewire COMMAND …`, from any folder.

Flow: the shell -> THREEWIRE -> a command's main.
"""

import importlib
import sys

# A folder or a file at the top of tools/ is a command, with the command's own name.
COMMANDS = {
    "demo": "meter a simulated house, and show what LEDs and registers do",
    "replay": "meter a recording, or a board's codes, and compare with float64",
    "flash": "put the firmware on a board",
    "monitor": "watch a board",
    "serve": "hand boards' reports on: MQTT, Modbus, a web page, Prometheus, InfluxDB",
    "console": "type commands to a board, and see its answers",
    "profile": "get a board's energy of quarters of an hour, as CSV",
    "provision": "tell a board its Wi-Fi, broker and names",
    "selftest": "let a board prove itself, with no instrument",
    "capture": "get raw codes off a board, and meter them again",
    "calibrate": "calibrate a board beside a reference instrument",
    "solve": "gains and phase from what board and reference read",
    "linearity": "find the converter's wide codes and bow in a captured sine",
    "emulate": "run an emulated board, for trying the tools on",
    "image": "build a board's flash image",
    "uf2": "join MicroPython and a board's files, to drag onto a fresh board",
    "accuracy": "hold the meter's errors against the gates",
    "reliability": "cut power, soak, reset, flood: what was tried and lost",
    "soak": "a day of the whole firmware in simulated time",
    "power_cuts": "cut the power in every operation of the flash",
    "regress": "meter all recordings in folders, on all cores, and compare",
    "golden": "meter all recordings anew, and show what differs from before",
    "bench": "measure speed on the emulated chip and on this machine",
    "engines": "list the interpreters that run the firmware here, or get them",
    "house": "write the simulated house's waves into a file",
    "drawings": "draw pinouts, circuits and front panel anew",
}


def main(argv: list[str] | None = None) -> int:
    """Exit status: the command's own; 0 after the list of all, 2 for one that there is not."""
    given = sys.argv[1:] if argv is None else argv
    name, *arguments = given or ["--help"]
    if name in ("-h", "--help"):
        print("usage: threewire COMMAND [OPTIONS]; threewire COMMAND --help tells them\n")
        for command, text in COMMANDS.items():
            print(f"  {command:12} {text}")
        return 0
    if name not in COMMANDS:
        print(f"error: {name!r} is no command; there are {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    module = importlib.import_module(f"tools.{name}")
    if hasattr(module, "__path__"):
        module = importlib.import_module(f"tools.{name}.cli")
    return module.main(arguments)
