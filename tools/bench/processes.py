"""What other processes have used, as Linux tells it.

Flow: /proc -> PROCESSES -> regression, serving.
"""

import os
from contextlib import suppress
from pathlib import Path


def peak_mb(number: int) -> float:
    """MB that a process had at once; 0: it is over, or the system does not tell."""
    with suppress(OSError, ValueError):
        for line in Path(f"/proc/{number}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0


def cpu_s(number: int) -> float:
    """Seconds of processor time so far; 0 as above."""
    with suppress(OSError, ValueError):
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0
