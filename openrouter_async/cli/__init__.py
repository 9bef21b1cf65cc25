"""The command line: Typer and rich on top of the public client.

This module imports nothing, so that `__main__` can report a missing ``cli`` extra.
"""

__all__: list[str] = []
