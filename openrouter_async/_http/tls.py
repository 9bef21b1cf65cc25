"""TODO openrouter_async._http.tls."""

import functools
import os
import ssl
from typing import Final

import anyio.to_thread
import httpx

from ..errors import TLSError


async def tls_context() -> ssl.SSLContext:
    """What all clients of the process trust, loaded when the first needs it.

    ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` name other certificates than certifi's.

    Raises:
        TLSError: What they name cannot be loaded.
    """
    # In a thread: to load the certificates takes tens of milliseconds.
    return await anyio.to_thread.run_sync(_tls_context)


@functools.cache
def _tls_context() -> ssl.SSLContext:
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        named = [n for n in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(n)]
        msg = f"cannot load the trusted certificates ({', '.join(named) or 'certifi'}): {error}"
        raise TLSError(msg) from error


READ_SIZE: Final = 65_536


class TLS:
    """The cipher between a socket and a stream, which does no input or output itself."""

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self.outgoing, server_hostname=host)
        self._shaken = False
        self.ended = False
        self.error: ssl.SSLError | None = None

    def shake_hands(self) -> bool:
        """Go on with the handshake; whether it is done."""
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        self._shaken = True
        return True

    def encrypt(self, data: bytes) -> bytes:
        view = memoryview(data)
        while view:
            view = view[self._object.write(view) :]
        return self.outgoing.read()

    def decrypt(self, data: bytes) -> bytes:
        self._incoming.write(data)
        plain: list[bytes] = []
        try:
            while self._shaken and (chunk := self._object.read(READ_SIZE)):
                plain.append(chunk)
        except ssl.SSLWantReadError:
            return b"".join(plain)
        except ssl.SSLZeroReturnError:
            pass
        except ssl.SSLError as error:
            self.error = error
        self.ended = self._shaken
        return b"".join(plain)
