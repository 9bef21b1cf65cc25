"""`SecretStr`: text that is shown nowhere by accident."""

from typing import Any

__all__ = ["SecretStr"]


class SecretStr:
    """A string that no repr, log line, pickle or traceback with local variables shows.

    Example:
        ```python
        created = await client.keys.create(name="ci")
        print(created.key)  # ***
        print(created.key.reveal()[:9])  # sk-or-v1-
        ```
    """

    # Not an attrs class: rich and attrs.asdict would show its fields despite its repr.
    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:  # noqa: ANN401 - an invalid one must not be shown either
        self._value = value

    def reveal(self) -> str:
        """Return the text itself."""
        return str(self._value)

    def __str__(self) -> str:
        return "***"

    def __repr__(self) -> str:
        return f"{type(self).__name__}('***')"

    def __reduce__(self) -> str:
        msg = "a secret cannot be pickled"
        raise TypeError(msg)
