"""``python -m openrouter_async``, which is the command ``openrouter-async``."""

from .cli._extras import needs_extra

__all__ = ["main"]

_INTERRUPTED = 4


def main() -> None:
    """Run the command line."""
    try:
        with needs_extra("cli"):
            from .cli.app import app
        app()
    except KeyboardInterrupt:  # before a command has begun, and could say more
        raise SystemExit(_INTERRUPTED) from None


if __name__ == "__main__":
    main()
