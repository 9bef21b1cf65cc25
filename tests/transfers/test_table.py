"""Sets and tables that store fingerprints instead of names."""

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openrouter_async.transfers.table import Seen, Table


def size_of(table):
    """Return the size of a table's cells in bytes."""
    return sum(sys.getsizeof(part._cells) for part in table._parts)


@settings(deadline=None)  # a noisy machine may stop a test for a while
@given(st.lists(st.text(max_size=3) | st.binary(max_size=3)))
def test_a_key_is_new_only_once(keys):
    """Text and its UTF-8 bytes are the same key."""
    seen, model = Seen(), set()
    for key in keys:
        plain = key if isinstance(key, bytes) else key.encode()
        assert (key in seen) == (plain in model)
        assert seen.add(key) == (plain not in model)
        model.add(plain)
        assert key in seen


def test_many_keys_are_distinguished():
    """After each part has grown many times."""
    seen = Seen()
    assert all(seen.add(f"file-{number}") for number in range(20_000))
    assert not any(seen.add(f"file-{number}") for number in range(20_000))
    assert not any(f"none-{number}" in seen for number in range(20_000))


def test_names_that_are_not_valid_text_are_keys():
    """Lone surrogates represent bytes that cannot be decoded."""
    seen = Seen()
    assert seen.add("\udcff")
    assert not seen.add("\udcff")
    assert seen.add("\udcfe")


@pytest.mark.parametrize("count", [10_000, 15_000, 20_000, 25_000])
def test_a_key_takes_at_most_sixteen_bytes(count):
    """And an entry of a table twice as many; empty parts are a fixed cost."""
    seen, table = Seen(), Table()
    fixed = size_of(seen)
    for number in range(count):
        seen.add(f"file-{number}")
        table.add(f"file-{number}", number)
    assert size_of(seen) <= fixed + 16 * count
    assert size_of(table) <= 2 * fixed + 32 * count


@settings(deadline=None)  # a noisy machine may stop a test for a while
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2**64 - 1)), max_size=200))
def test_a_table_keeps_all_numbers_of_a_key(pairs):
    """Any number of them, while it grows."""
    table, model = Table(), {}
    for key, number in pairs:
        table.add(key, number)
        model.setdefault(key, []).append(number)
    for key in "abcd":
        assert sorted(table.get(key)) == sorted(model.get(key, []))


def test_a_number_can_be_replaced():
    """Other numbers, of this key and of others, are kept."""
    table = Table()
    for number in range(20_000):
        table.add(f"key-{number // 2}", number)
    for number in range(0, 20_000, 2):
        table.replace(f"key-{number // 2}", number, 10**6 + number)
    for number in range(0, 20_000, 2):
        assert sorted(table.get(f"key-{number // 2}")) == [number + 1, 10**6 + number]


def test_fingerprints_differ_between_tables():
    """Each table has its own random key."""
    assert Seen()._locate("a")[1] != Seen()._locate("a")[1]


def test_a_fingerprint_of_zeros_is_stored(monkeypatch):
    """Although zero marks a free slot."""
    seen = Seen()

    class Zeros:
        def copy(self):
            return self

        def update(self, data):
            pass

        def digest(self):
            return bytes(9)

    seen._blank = Zeros()
    assert seen.add("a")
    assert not seen.add("a")
