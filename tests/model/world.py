"""What the service should hold by now, in plain dicts, and for what it should refuse a call.

Written from the wire contract, with nothing of the emulator's or the client's.
"""

import re
import uuid
from itertools import pairwise

from openrouter_async.errors import (
    BadRequestResponseError,
    ForbiddenResponseError,
    InvalidRequestError,
    NotFoundResponseError,
)

ORGANISATION = {"user_abc123": "admin", "user_def456": "member", "user_ghi789": "member"}
INTERVALS = ("lifetime", "monthly", "weekly", "daily")
SETTINGS = {
    "description": None,
    "default_text_model": None,
    "default_image_model": None,
    "default_provider_sort": None,
    "disabled_server_tools": None,
    "io_logging_api_key_ids": None,
    "io_logging_sampling_rate": 1,
    "is_data_discount_logging_enabled": True,
    "is_observability_broadcast_enabled": False,
    "is_observability_io_logging_enabled": False,
}
SORTS = {None, "price", "throughput", "latency", "exacto"}


class World:
    """The account."""

    def __init__(self, default):
        self.spaces = {}
        """By their ids, oldest first."""
        self.api_keys = {}
        """Keys by their hashes, oldest first."""
        self.default = default.id
        self.add(default)

    def add(self, workspace):
        """A workspace that is there from now on."""
        self.spaces[workspace.id] = {
            "shown": workspace,
            "files": {},  # what is left of a deleted file is its place in the order
            "budgets": {},
            "members": dict(ORGANISATION) if workspace.id == self.default else {},
            "keys": {},
        }

    def find(self, ref):
        """The workspace of an id or slug; an id goes first."""
        if ref.lower() in self.spaces:
            return self.spaces[ref.lower()]
        return next((s for s in self.spaces.values() if s["shown"].slug == ref), None)

    def keys_in(self, space):
        """The keys of a workspace, oldest first."""
        home = space["shown"].id
        return [key for key in self.api_keys.values() if key.workspace_id == home]

    def owners(self, space):
        """The users of a workspace's active keys; None for those without."""
        active = [key for key in self.keys_in(space) if not key.disabled]
        return {*space["keys"].values()} | {key.creator_user_id for key in active}

    def place(self, ref):
        """The workspace whose files are meant, and why it cannot be."""
        if ref is None:
            return self.spaces[self.default], set()
        try:
            found = self.spaces.get(str(uuid.UUID(ref)))
        except ValueError:
            return None, {BadRequestResponseError}
        return found, set() if found else {ForbiddenResponseError}

    def file(self, ref, file_id):
        """A file, and why it cannot be had."""
        space, reasons = self.place(ref)
        found = space and space["files"].get(file_id)
        return found, reasons or (set() if found else {NotFoundResponseError})

    def slug_taken(self, slug, but=None):
        """Why a slug cannot be given."""
        others = [s["shown"].slug for s in self.spaces.values() if s is not but]
        return {BadRequestResponseError} if slug in others else set()


def lookup(space):
    """Why nothing can be done with a workspace."""
    return set() if space else {NotFoundResponseError}


def bad_filename(name):
    """Why a file cannot be uploaded under a name."""
    forbidden = re.search(r'[<>:"|?*\\\x00-\x1f\x7f-\x9f]', name)
    if not 1 <= len(name) <= 255 or forbidden or {"", ".", ".."} & set(name.split("/")):
        return {InvalidRequestError}
    return set()


def bad_settings(settings):
    """Why a workspace cannot have settings: for some, the client knows."""
    slug = r"[a-z0-9]+(-[a-z0-9]+)*"
    known = {
        "name": lambda v: 1 <= len(v) <= 100,
        "slug": lambda v: len(v) <= 50 and re.fullmatch(slug, v),
        "description": lambda v: v is None or len(v) <= 500,
        "io_logging_sampling_rate": lambda v: 0.0001 <= v <= 1,
    }
    local = [n for n, fits in known.items() if n in settings and not fits(settings[n])]
    flags = [v for n, v in settings.items() if n.startswith("is_")]
    sort = settings.get("default_provider_sort")
    far = None in flags or sort not in SORTS
    return {InvalidRequestError} if local else {BadRequestResponseError} if far else set()


def disorder(budgets):
    """The first two of these limits that do not fall."""
    given = [(name, budgets[name]) for name in INTERVALS if name in budgets]
    return next(((a, b) for a, b in pairwise(given) if a[1] <= b[1]), None)


def rows_after(space, start):
    """The files that are there, those after one that was there at some time."""
    ids = [*space["files"]]
    later = ids[ids.index(start) + 1 :] if start is not None else ids
    return [space["files"][id_] for id_ in later if space["files"][id_]]
