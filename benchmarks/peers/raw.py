"""The lower bound: plain sockets, and the minimum of HTTP that the benchmark server needs."""

import asyncio
import json
import socket
import ssl
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from . import FILE_ID, KEY

_HEADERS = f"Host: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\n"
_CHUNK_SIZE = 262_144
_PREAMBLE = (
    b'--boundary\r\nContent-Disposition: form-data; name="file"; filename="report.pdf"\r\n'
    b"Content-Type: application/pdf\r\n\r\n"
)
_CLOSING = b"\r\n--boundary--\r\n"


def _get(url: str, rest: str) -> bytes:
    return f"GET {urlsplit(url).path}/api/v1/files{rest} HTTP/1.1\r\n{_HEADERS}\r\n".encode()


def _length(response: bytes | bytearray, body: int) -> int:
    mark = response.rindex(b"Content-Length: ", 0, body) + 16
    return int(response[mark : response.index(b"\r", mark)])


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._received = bytearray()
        self._body = 0
        self._end = 0
        self._waiter: asyncio.Future[bytes]
        self.resumed = asyncio.Event()
        self.resumed.set()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def pause_writing(self) -> None:
        self.resumed.clear()

    def resume_writing(self) -> None:
        self.resumed.set()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._end:
            self._body = self._received.find(b"\r\n\r\n") + 4
            if self._body < 4:  # noqa: PLR2004 - nothing found
                return
            self._end = self._body + _length(self._received, self._body)
        if len(self._received) >= self._end:
            body = bytes(self._received[self._body :])
            self._end = 0
            self._received.clear()
            self._waiter.set_result(body)

    def send(self, request: bytes) -> asyncio.Future[bytes]:
        self._waiter = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self._waiter


class AsyncPeer:
    """A list of idle connections."""

    def __init__(self, base: str) -> None:
        split = urlsplit(base)
        self._address = (str(split.hostname), int(split.port or 80))
        self._tls = ssl.create_default_context() if split.scheme == "https" else None
        self._path = split.path
        self._idle: list[_Connection] = []
        self._retrieve = _get(base, f"/{FILE_ID}")
        self._page = _get(base, "?limit=1000")
        self._content = _get(base, f"/{FILE_ID}/content")

    async def _connection(self) -> _Connection:
        if self._idle:
            return self._idle.pop()
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(_Connection, *self._address, ssl=self._tls))[1]

    async def _call(self, request: bytes) -> Any:  # noqa: ANN401
        connection = await self._connection()
        body = await connection.send(request)
        self._idle.append(connection)
        return json.loads(body)

    async def retrieve(self) -> object:
        """Return one file's metadata."""
        return await self._call(self._retrieve)

    async def page(self) -> int:
        """Return the number of files on a page."""
        return len((await self._call(self._page))["data"])

    async def upload(self, path: Path) -> int:
        """Upload with blocking reads, and writes that respect back-pressure."""
        connection = await self._connection()
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            length = len(_PREAMBLE) + size + len(_CLOSING)
            head = (
                f"POST {self._path}/api/v1/files HTTP/1.1\r\n{_HEADERS}Content-Type: "
                f"multipart/form-data; boundary=boundary\r\nContent-Length: {length}\r\n\r\n"
            )
            response = connection.send(head.encode() + _PREAMBLE + file.read(_CHUNK_SIZE))
            while chunk := file.read(_CHUNK_SIZE):
                await connection.resumed.wait()
                connection.transport.write(chunk)
            connection.transport.write(_CLOSING)
        stored = json.loads(await response)
        self._idle.append(connection)
        return int(stored["size_bytes"])

    async def download(self, path: Path) -> None:
        """Download on a new socket with one buffer and blocking writes."""
        loop = asyncio.get_running_loop()
        buffer = memoryview(bytearray(1024 * 1024))
        with socket.socket() as sock, path.open("wb") as file:
            sock.setblocking(False)
            await loop.sock_connect(sock, self._address)
            await loop.sock_sendall(sock, self._content)
            size = await loop.sock_recv_into(sock, buffer)
            first = bytes(buffer[:size])
            body = first.index(b"\r\n\r\n") + 4
            remaining = _length(first, body) - file.write(first[body:])
            while remaining:
                size = await loop.sock_recv_into(sock, buffer)
                remaining -= file.write(buffer[:size])

    async def aclose(self) -> None:
        """Close the connections."""
        for connection in self._idle:
            connection.transport.abort()


class SyncPeer:
    """One blocking socket."""

    def __init__(self, base: str) -> None:
        split = urlsplit(base)
        self._socket = socket.create_connection((split.hostname, split.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._retrieve = _get(base, f"/{FILE_ID}")

    def retrieve(self) -> object:
        """Return one file's metadata."""
        self._socket.sendall(self._retrieve)
        response = self._socket.recv(65536)
        return json.loads(response[response.index(b"\r\n\r\n") + 4 :])

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()
