"""The firmware's version, which the console and captures tell."""

VERSION = "0.3.0"
