"""TLS: the trusted certificates, and encryption as bytes in and bytes out.

asyncio's own TLS is not used: when the connection is reset behind an early response (a 413 in
mid-upload, say), it discards what has already arrived. With ``ssl.MemoryBIO`` the bytes are ours.
"""

import functools
import os
import ssl
from typing import Any, Final

import httpx

from .._workers import DISK, run_in_worker
from ..errors import TLSError

__all__ = ["READ_SIZE", "TLS", "tls_context"]

READ_SIZE: Final = 65_536


async def tls_context() -> ssl.SSLContext:
    """Return the certificates that all clients of the process trust, loaded once.

    ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` name other certificates than certifi's.

    Raises:
        TLSError: The certificates cannot be loaded.
    """
    # In a thread, as loading them takes tens of milliseconds.
    return await run_in_worker(DISK, _tls_context)


@functools.cache
def _tls_context() -> ssl.SSLContext:
    file, folder = (os.environ.get(name, "").strip() for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"))
    name = "SSL_CERT_FILE" if file else "SSL_CERT_DIR" if folder else "certifi"
    try:
        if file:
            return ssl.create_default_context(cafile=file)
        if folder:
            os.scandir(folder).close()  # OpenSSL itself takes any name
            return ssl.create_default_context(capath=folder)
        return httpx.create_ssl_context(trust_env=False)
    except OSError as error:
        log = os.environ.get("SSLKEYLOGFILE")
        if log and error.filename == log:  # ssl opens it with each context
            msg = f"cannot write the file that SSLKEYLOGFILE names: {error}"
        else:
            msg = f"cannot load the trusted certificates ({name}): {error}"
        raise TLSError(msg) from error


class TLS:
    """Encryption between a socket and a stream, without any input or output of its own."""

    def __init__(self, context: ssl.SSLContext, host: str, earlier: "TLS | None" = None) -> None:
        self._incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self.context = context
        # A session belongs to its context, and so to the certificates that were trusted.
        session = earlier.session if earlier and earlier.context is context else None
        self._object = context.wrap_bio(
            self._incoming, self.outgoing, server_hostname=host, session=session
        )
        self._connected = False
        self.ended = False
        self.error: ssl.SSLError | None = None

    @property
    def session(self) -> ssl.SSLSession | None:
        """What a later connection to the same host can resume."""
        return self._object.session

    def shake_hands(self) -> bool:
        """Continue the handshake; return whether it is complete."""
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        self._connected = True
        return True

    def encrypt(self, data: bytes) -> bytes:
        """Return the bytes to send for ``data``."""
        view = memoryview(data)
        while view:
            view = view[self._object.write(view) :]
        return self.outgoing.read()

    def feed(self, data: bytes | memoryview) -> None:
        """Take received bytes, which are decrypted when they are read."""
        self._incoming.write(data)

    def read(self) -> bytes:
        """Return the content of what was received; sets ``ended`` and ``error`` at the end."""
        chunks: list[bytes] = []
        while chunk := self._read_record(READ_SIZE):
            chunks.append(chunk)
        return b"".join(chunks)

    def read_into(self, buffer: memoryview) -> int:
        """The same into a buffer, as much as it holds; return how many bytes that is."""
        filled = 0
        while filled < len(buffer) and (count := self._read_record(READ_SIZE, buffer[filled:])):
            filled += count
        return filled

    def _read_record(self, *args: Any) -> Any:  # noqa: ANN401
        # Asked for more than there is, OpenSSL raises an exception, which costs as much as a read.
        is_empty = not (self._incoming.pending or self._object.pending())
        if not self._connected or self.ended or is_empty:
            return 0
        try:
            if data := self._object.read(*args):
                return data
        except ssl.SSLWantReadError:
            return 0
        except ssl.SSLZeroReturnError:
            pass
        except ssl.SSLError as error:
            self.error = error
        self.ended = True
        return 0
