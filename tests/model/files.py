"""The Files API, in any order."""

import hashlib
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st
from hypothesis.stateful import multiple, rule

from openrouter_async.errors import BadRequestResponseError, UploadSourceError

from .account import Account, all_pages
from .given import (
    BLOB,
    CHUNK_SIZES,
    CONTENTS,
    FILE_IDS,
    FORMS,
    NAMES,
    PLACES,
    SIZES,
    SPACE_IDS,
    mostly,
)
from .world import bad_filename, rows_after


class Files(Account):
    """``client.files``."""

    @rule(
        target=FILE_IDS,
        place=PLACES,
        name=NAMES,
        kind=st.sampled_from(["text", "text", *CONTENTS]),
        size=SIZES,
        form=st.sampled_from([*FORMS]),
        cut=st.sampled_from([1_000, *CHUNK_SIZES[3:]]),
    )
    def upload(self, place, name, kind, size, form, cut):
        mime_type, made = CONTENTS[kind]
        content = made(size)
        space, reasons = self.world.place(place)
        reasons = reasons | bad_filename(name)
        if kind == "nothing" and form in {"bytes", "file"}:
            reasons |= {UploadSourceError}
        elif mime_type is None:
            reasons |= {BadRequestResponseError}
        source = FORMS[form]([content[i : i + cut] for i in range(0, len(content), cut)])
        stored = self.attempt(
            reasons,
            lambda: self.client.files.upload(source, filename=name, workspace_id=place),
        )
        if stored is None:
            return multiple()
        received = self.emulator.requests()[-1]["upload"]
        assert received["sha256"] == hashlib.sha256(content).hexdigest()
        assert (stored.mime_type, stored.downloadable) == (mime_type, False)
        return self.keep(space, stored, name, content)

    @rule(
        target=FILE_IDS,
        place=st.none() | SPACE_IDS,
        name=NAMES.filter(lambda name: not bad_filename(name)),
        size=SIZES,
    )
    def let_the_service_make_a_file(self, place, name, size):
        space, reasons = self.world.place(place)
        if reasons:  # it was deleted
            return multiple()
        made = self.emulator.create_file(name, BLOB[:size], place)
        stored = self.run(self.client.files.retrieve(made["id"], workspace_id=place))
        assert stored.downloadable is True
        return self.keep(space, stored, name, BLOB[:size])

    def keep(self, space, stored, name, content):
        """Remember a file that was stored just now."""
        assert (stored.filename, stored.size_bytes, stored.type) == (name, len(content), "file")
        assert abs(datetime.now(UTC) - stored.created_at) < timedelta(seconds=60)
        assert stored.id not in self.contents
        space["files"][stored.id] = stored
        self.contents[stored.id] = content, space["shown"].id
        return stored.id

    def place_of(self, file_id, place):
        """Mostly where the file is."""
        _, home = self.contents.get(file_id, (b"", None))
        return home if place == "home" else place

    @rule(file_id=FILE_IDS, place=mostly(st.just("home"), PLACES))
    def retrieve(self, file_id, place):
        place = self.place_of(file_id, place)
        expected, reasons = self.world.file(place, file_id)
        found = self.attempt(
            reasons, lambda: self.client.files.retrieve(file_id, workspace_id=place)
        )
        assert found == (None if reasons else expected)

    @rule(file_id=FILE_IDS, place=mostly(st.just("home"), PLACES))
    def delete(self, file_id, place):
        place = self.place_of(file_id, place)
        _, reasons = self.world.file(place, file_id)
        gone = self.attempt(reasons, lambda: self.client.files.delete(file_id, workspace_id=place))
        if gone:
            assert (gone.id, gone.type) == (file_id, "file_deleted")
            self.world.place(place)[0]["files"][file_id] = None

    @rule(
        file_id=FILE_IDS,
        place=mostly(st.just("home"), PLACES),
        way=st.sampled_from(["whole", "chunks", "left"]),
    )
    def download(self, file_id, place, way):
        place = self.place_of(file_id, place)
        file, reasons = self.world.file(place, file_id)
        if file and not file.downloadable:
            reasons = {BadRequestResponseError}

        async def fetch():
            async with self.client.files.download(file_id, workspace_id=place) as download:
                assert download.size == file.size_bytes
                if way == "whole":
                    return await download.read()
                received = b""
                async for chunk in download:
                    received += chunk
                    if way == "left":
                        break
                return received

        received = self.attempt(reasons, fetch)
        if received is not None:
            content = self.contents[file_id][0]
            assert received == (content[: len(received)] if way == "left" else content)

    @rule(
        place=PLACES,
        limit=st.none() | st.integers(1, 6),
        start=st.none() | FILE_IDS,
        word=st.sampled_from(["after", "after_id"]),
    )
    def list_files(self, place, limit, start, word):
        space, reasons = self.world.place(place)
        if space and start is not None and start not in space["files"]:
            reasons = {BadRequestResponseError}
        pager = self.client.files.list(limit=limit, workspace_id=place, **{word: start})
        pages = self.attempt(reasons, lambda: all_pages(pager))
        if pages is not None:
            rows = rows_after(space, start)
            assert [page.data for page in pages] == self.cut(rows, limit or 100)
            for page in pages:
                ids = [row.id for row in page.data] or [None]
                assert (page.first_id, page.last_id) == (ids[0], ids[-1])
                assert page.has_more == (page is not pages[-1]) == (page.cursor is not None)

    @rule(place=st.none() | SPACE_IDS, limit=st.integers(1, 4), pick=st.integers(0, 99))
    def list_while_a_file_goes(self, place, limit, pick):
        space, reasons = self.world.place(place)
        rows = [] if reasons else rows_after(space, None)
        if not rows:
            return
        number = pick % len(rows)
        gone = rows[number]

        async def read():
            seen = []
            pager = self.client.files.list(limit=limit, workspace_id=place)
            async with aclosing(pager.pages()) as pages:
                async for page in pages:
                    if not seen:
                        await self.client.files.delete(gone.id, workspace_id=place)
                    seen += page.data
            return seen

        seen = self.run(read())
        space["files"][gone.id] = None
        if number >= min(limit, self.max_page):
            rows.remove(gone)
        assert seen == rows

    @rule(place=st.none() | SPACE_IDS, limit=st.integers(1, 4))
    def go_on_from_a_cursor(self, place, limit):
        space, reasons = self.world.place(place)
        if reasons:
            return
        first = self.run(self.client.files.list(limit=limit, workspace_id=place).page())
        rest = ()
        if first.cursor is not None:
            pager = self.client.files.list(cursor=first.cursor, workspace_id=place)
            rest = [row for page in self.run(all_pages(pager)) for row in page.data]
        assert [*first.data, *rest] == rows_after(space, None)
