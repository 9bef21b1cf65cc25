"""A relay that passes bytes on untouched, and keeps the requests that went through it."""

import asyncio
from urllib.parse import parse_qsl

import h11
from attrs import field, frozen


@frozen(kw_only=True)
class Part:
    """The one part of an upload."""

    headers: dict[str, list[str]]
    content: bytes


@frozen(kw_only=True)
class Recorded:
    """One request as it was on the wire."""

    method: str
    target: str
    headers: dict[str, list[str]]
    body: bytes = field(repr=False)

    @property
    def path(self):
        return self.target.partition("?")[0]

    @property
    def query(self):
        """The parameters, in an order that no client chose."""
        return sorted(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))

    @property
    def content_type(self):
        """Without its boundary, which is anybody's choice."""
        return [value.partition(";")[0] for value in self.headers.get("content-type", [])]

    @property
    def part(self):
        """The form's one part; None if the body is no form."""
        if self.content_type != ["multipart/form-data"]:
            return None
        boundary = self.headers["content-type"][0].partition("boundary=")[2].strip('"')
        before, part, after = (b"\r\n" + self.body).split(f"\r\n--{boundary}".encode())
        assert (before, after.rstrip()) == (b"", b"--")
        head, _, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        lines = [line.partition(": ") for line in head.decode("latin-1").split("\r\n")]
        return Part(headers=_grouped((name, value) for name, _, value in lines), content=content)


def _grouped(pairs):
    headers = {}
    for name, value in pairs:
        headers.setdefault(name.lower(), []).append(value)
    return headers


class Tap:
    """Listens in front of a server; ``requests`` has what arrived, before the server has it."""

    def __init__(self, host, port):
        self._upstream = (host, port)
        self.requests: list[Recorded] = []
        self._tasks = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        up_reader, up_writer = await asyncio.open_connection(*self._upstream)
        self._tasks |= {
            asyncio.create_task(_pump(reader, up_writer, _Listener(self.requests).hear)),
            asyncio.create_task(_pump(up_reader, writer)),
        }


async def _pump(reader, writer, hear=lambda _: None):
    try:
        while data := await reader.read(65536):
            hear(data)
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


class _Listener:
    """Reads one connection's requests as a server would."""

    def __init__(self, requests):
        self._requests = requests
        self._connection = h11.Connection(h11.SERVER)

    def hear(self, data):
        self._connection.receive_data(data)
        while not isinstance(event := self._connection.next_event(), type):
            if isinstance(event, h11.Request):
                self._request, self._body = event, b""
            elif isinstance(event, h11.Data):
                self._body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                self._requests.append(self._recorded())
                self._answer()

    def _recorded(self):
        pairs = [(name.decode(), value.decode("latin-1")) for name, value in self._request.headers]
        pairs = [pair for pair in pairs if pair[0] != "host"]  # the tap's own
        return Recorded(
            method=self._request.method.decode(),
            target=self._request.target.decode(),
            headers=_grouped(pairs),
            body=self._body,
        )

    def _answer(self):
        """Let the parser go on to the next request; this response is not sent."""
        self._connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
        self._connection.send(h11.EndOfMessage())
        if self._connection.our_state is h11.DONE:
            self._connection.start_next_cycle()
