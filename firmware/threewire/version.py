"""The firmware's version, which tools compare before they flash."""

VERSION = "0.3.0"
