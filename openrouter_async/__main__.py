"""``python -m openrouter_async``, which is the command ``openrouter-async``."""

import sys

from . import __version__
from .cli._extras import bare_help, lacking, needs_extra

__all__ = ["main"]

_INTERRUPTED, _INTERRUPTED_TYPER = 4, 130


def main() -> None:
    """Run the command line."""
    if sys.argv[1:] == ["--version"]:
        sys.stdout.write(f"openrouter-async {__version__}\n")
        raise SystemExit(0)
    if sys.argv[1:] == ["--help"] and lacking("cli"):
        sys.stdout.write(bare_help())
        raise SystemExit(0)
    try:
        with needs_extra("cli"):
            from .cli.app import app
        app()
    except KeyboardInterrupt:  # before a command has begun, and could say more
        raise SystemExit(_INTERRUPTED) from None
    except SystemExit as ended:
        if ended.code == _INTERRUPTED_TYPER:
            raise SystemExit(_INTERRUPTED) from None
        raise


if __name__ == "__main__":
    main()
