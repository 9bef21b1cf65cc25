"""The command line: Typer and rich over the public client, nothing private.

Imports nothing by itself: without the extra ``cli`` there is still somebody to say so.
"""

__all__: list[str] = []
