"""The standard streams; without dependencies, as `__main__` needs it where the extra is missing."""

import io
import sys

__all__ = ["escape_unencodable"]


def escape_unencodable() -> None:
    r"""Let stdout and stderr print characters that their encoding lacks as ``\u5831``."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not stream.closed:
            stream.reconfigure(errors="backslashreplace")
