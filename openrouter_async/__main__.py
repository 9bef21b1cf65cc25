"""Entry point of ``openrouter-async`` and ``python -m openrouter_async``."""

import sys

from . import __version__
from .cli._extras import help_without_extra, missing_packages, requires_extra
from .cli._streams import escape_unencodable

__all__ = ["main"]

_INTERRUPTED, _INTERRUPTED_IN_TYPER = 4, 130


def main() -> None:
    """Run the command line."""
    escape_unencodable()
    if sys.argv[1:] == ["--version"]:
        sys.stdout.write(f"openrouter-async {__version__}\n")
        raise SystemExit(0)
    if sys.argv[1:] in (["--help"], ["-h"]) and missing_packages("cli"):
        sys.stdout.write(help_without_extra())
        raise SystemExit(0)
    try:
        with requires_extra("cli"):
            from .cli.app import app
        app()
    except KeyboardInterrupt:  # raised before a command could handle it
        raise SystemExit(_INTERRUPTED) from None
    except SystemExit as error:
        if error.code == _INTERRUPTED_IN_TYPER:
            raise SystemExit(_INTERRUPTED) from None
        raise


if __name__ == "__main__":
    main()
