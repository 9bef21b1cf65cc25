"""The tests' own certificate authority, and trust in it."""

import functools
import os
import ssl
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import trustme

from openrouter_async._http import tls

LONG_AGO = datetime.now(UTC) - timedelta(days=30)


@functools.cache
def authority():
    """Return the issuer of the certificates."""
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


def server_context(*names, issuer=None, **options):
    """A server's side of TLS, with a certificate for ``names``; the loopback ones if omitted."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issuer = issuer or authority()
    names = names or ("127.0.0.1", "::1", "localhost")
    options |= {"key_type": trustme.KeyType.ECDSA}
    issuer.issue_cert(*names, **options).configure_cert(context)
    return context


@contextmanager
def environment(**variables):
    """Set the variables, and make clients load their trusted certificates anew."""
    before = {name: os.environ.get(name) for name in variables}
    _put(variables)
    tls._tls_context.cache_clear()
    try:
        yield
    finally:
        _put(before)
        tls._tls_context.cache_clear()


def _put(variables):
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = str(value)


@contextmanager
def trusted(folder, issuer=None):
    """Trust the authority's certificates, and no others."""
    path = folder / "authority.pem"
    (issuer or authority()).cert_pem.write_to_path(path)
    with environment(SSL_CERT_FILE=path, SSL_CERT_DIR=None):
        yield path
