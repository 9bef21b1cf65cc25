"""``python -m openrouter_async``, which is the command ``openrouter-async``."""

from .cli._extras import needs_extra

__all__ = ["main"]


def main() -> None:
    """Run the command line."""
    with needs_extra("cli"):
        from .cli.app import app
    app()


if __name__ == "__main__":
    main()
