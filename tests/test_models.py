"""What the service returns: frozen values."""

from datetime import UTC, datetime

import attrs
import pytest

from openrouter_async import FileMetadata, models

FILE = FileMetadata(
    id="f", filename="a.txt", size_bytes=1, created_at=datetime(2025, 1, 1, tzinfo=UTC)
)
CLASSES = [cls for name in models.__all__ if isinstance(cls := getattr(models, name), type)]


def test_a_model_cannot_be_changed():
    """It says what the service said."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        FILE.filename = "b.txt"


@pytest.mark.parametrize("cls", CLASSES)
def test_every_model_is_slotted_and_takes_keywords_only(cls):
    """A field that is added moves no other."""
    assert attrs.has(cls)
    assert "__slots__" in vars(cls)
    assert all(field.kw_only for field in attrs.fields(cls))
    with pytest.raises(TypeError):
        cls("positional")


def test_equal_files_are_equal_and_can_be_in_a_set():
    """Whatever else the service said of them."""
    copied = attrs.evolve(FILE)
    assert copied == FILE
    assert {copied, FILE} == {FILE}
    assert len({attrs.evolve(FILE, extra={"new": []}), attrs.evolve(FILE, extra={"new": []})}) == 1


def test_extra_fields_stay_out_of_the_repr():
    """It is meant to be read."""
    assert "new" not in repr(attrs.evolve(FILE, extra={"new": "x"}))
    assert "a.txt" in repr(FILE)
