"""Modules that are in memory only while they are needed.

Flow: whoever imports a module for one answer -> TRANSIENT.
"""

import sys


def let_go(name):
    """A module of this full name is imported anew when it is needed again; once nothing that came
    of it is in use its memory is free.  One that is not there is none."""
    package, _, module = name.rpartition(".")
    package = sys.modules.get(package)
    if hasattr(package, module):
        delattr(package, module)
    if name in sys.modules:
        del sys.modules[name]
