"""What the calls are made with: mostly what will do, and all that will not."""

import io
import operator
import random
import uuid

from hypothesis import strategies as st
from hypothesis.stateful import Bundle

from .world import ORGANISATION

BLOB = random.Random(0).randbytes(1_200_000)
TEXT = BLOB.hex().encode()
NOWHERE = str(uuid.UUID(int=7))


def mostly(usual, other):
    """The other one in six times."""
    return st.integers(0, 5).flatmap(lambda n: other if n == 5 else usual)


CHUNK_SIZES = [1, 2, 1_000, 262_143, 262_145, 524_287, 524_288, 524_289, 1_100_000]
SIZES = st.sampled_from([1, 1, 2, 10, 1_000, *CHUNK_SIZES])
GOOD_NAMES = st.text(st.sampled_from("abü☃𝄞 %;'=.\u202e"), min_size=1, max_size=9).filter(
    lambda name: name.strip(".")
) | st.sampled_from(["a/b.csv", "ü/☃/𝄞.txt", "n" * 255, "☃" * 255, ".a", "a..b", "%22%0D"])
BAD_NAMES = [
    "",
    "n" * 256,
    "/a",
    "a/",
    "a//b",
    "a/../b",
    ".",
    'a"b',
    "a\\b",
    "a\x85",
    "a?",
]
NAMES = mostly(GOOD_NAMES, st.sampled_from(BAD_NAMES))
CONTENTS = {
    "text": ("text/plain", lambda size: TEXT[:size]),
    "json": ("application/json", lambda size: b'{"k":"' + TEXT[:size] + b'"}'),
    "lines": ("application/x-ndjson", lambda size: b'{"k":1}\n{}\n' * (size // 11 + 1)),
    "table": ("text/csv", lambda size: b"a,b\n" + b"12,34\n" * (size // 6 + 1)),
    "unknown": (None, lambda size: b"\0" + BLOB[:size]),
    "nothing": (None, lambda size: TEXT[size:size]),
}
FORMS = {
    "bytes": b"".join,
    "file": lambda chunks: io.BytesIO(b"".join(chunks)),
    "list": lambda chunks: chunks,
    "iterator": iter,
}
WORDS = st.text(max_size=5)
SLUGS = st.sampled_from(["a", "b-1", "c", "default", "x" * 50])
NEW_SLUGS = mostly(SLUGS, st.sampled_from(["x" * 51, "a--b", ""]))
WORKSPACE_NAMES = mostly(
    st.sampled_from(["W", "ü ☃\0", "n" * 100]), st.sampled_from(["n" * 101, ""])
)
GOOD_SETTINGS = {
    "description": st.none() | WORDS | st.just("d" * 500),
    "default_text_model": st.none() | WORDS,
    "default_image_model": st.none() | WORDS,
    "default_provider_sort": st.sampled_from([None, "price", "exacto"]),
    "disabled_server_tools": st.none() | st.lists(WORDS, max_size=2),
    "io_logging_api_key_ids": st.none() | st.lists(st.integers(), max_size=2),
    "io_logging_sampling_rate": st.sampled_from([1, 0.0001, 0.25, 0.1 + 0.2]),
    "is_data_discount_logging_enabled": st.booleans(),
    "is_observability_broadcast_enabled": st.booleans(),
    "is_observability_io_logging_enabled": st.booleans(),
}
BAD_SETTINGS = [
    {"description": "d" * 501},
    {"default_provider_sort": "fast"},
    {"io_logging_sampling_rate": 0.00009},
    {"io_logging_sampling_rate": 1.1},
    {"is_observability_broadcast_enabled": None},
]
CHANGES = st.builds(
    operator.or_,
    st.fixed_dictionaries({}, optional=GOOD_SETTINGS),
    mostly(st.just({}), st.sampled_from(BAD_SETTINGS)),
)
LIMITS = st.floats(0.001, 600) | st.sampled_from([0.1 + 0.2, 1, 5, 50, 500, 1e300, 0, -1, 10**400])
USERS = mostly(
    st.lists(st.sampled_from([*ORGANISATION]), min_size=1, max_size=5)
    | st.permutations([*ORGANISATION]),
    st.just(["user_abc123", "user_nobody"]),
)

FILE_IDS = Bundle("files")
SPACE_IDS = Bundle("spaces")
KEYS = Bundle("keys")

PLACES = mostly(st.none() | SPACE_IDS, st.sampled_from([NOWHERE, "default", "no uuid"]))
REFS = mostly(SPACE_IDS, SPACE_IDS.map(str.upper) | SLUGS | st.just(NOWHERE))
