"""socket://HOST:N as pyserial opens it, but for one thing: what is there is dropped up to a bound.

Flow: port -> pyserial, which looks for a URL's protocol here first -> SOCKET.  Its own drops what
comes as long as something comes: opening a port that floods would not end.
"""

import contextlib
from typing import Any

from serial.urlhandler import protocol_socket

# In reads of 4 kB: more than a socket holds for a program that has not read yet.
_MOST = 256


class Serial(protocol_socket.Serial):
    """Of that name pyserial makes it."""

    def reset_input_buffer(self) -> None:
        # From the socket itself, which does not block: `read` would wait for all that it is asked
        # for, of a board that has said a little and says no more.
        link: Any = self
        # Nothing more is there; or what has happened to it the first read tells.
        with contextlib.suppress(OSError):
            for _ in range(_MOST):
                if not link._socket.recv(4096):
                    break
