"""Sample values: a key, quick retries, and one document of each kind that the service returns."""

import types
import typing
from collections.abc import Mapping
from datetime import datetime

import attrs

from openrouter_async import RetryConfig
from openrouter_async._secret import SecretStr

KEY = "sk-or-v1-0123456789-not-to-be-seen"
SECRET = "sk-or-v1-" + "5ec2e7" * 8
"""The secret of a key that was created."""
QUICK = RetryConfig(initial_interval=0.001, max_interval=0.002)
"""Retries as users have them, without their waits."""

WORKSPACE = {
    "id": "550e8400-e29b-41d4-a716-446655440000",
    "name": "Production",
    "slug": "production",
    "description": None,
    "default_text_model": None,
    "default_image_model": None,
    "default_provider_sort": None,
    "default_guardrail_id": None,
    "io_logging_api_key_ids": None,
    "io_logging_sampling_rate": 1,
    "is_data_discount_logging_enabled": True,
    "is_observability_broadcast_enabled": False,
    "is_observability_io_logging_enabled": False,
    "created_at": "2025-01-01T00:00:00Z",
    "created_by": None,
    "updated_at": None,
}
BUDGET = {
    "id": "770e8400-e29b-41d4-a716-446655440000",
    "workspace_id": WORKSPACE["id"],
    "limit_usd": 10,
    "reset_interval": "daily",
    "created_at": "2025-01-01T00:00:00Z",
    "updated_at": "2025-01-01T00:00:00Z",
}
MEMBER = {
    "id": "660e8400-e29b-41d4-a716-446655440000",
    "workspace_id": WORKSPACE["id"],
    "user_id": "user_abc123",
    "role": "member",
    "created_at": "2025-01-01T00:00:00Z",
}
FILE = {
    "id": "x",
    "type": "file",
    "filename": "document.pdf",
    "mime_type": "application/pdf",
    "size_bytes": 1024000,
    "created_at": "2025-01-01T00:00:00Z",
    "downloadable": False,
}
"""The document's own example, under the id that most tests ask for."""


_BY_TYPE = {
    bool: False,
    datetime: "2025-01-01T00:00:00Z",
    float: 1.5,
    int: 1,
    object: b"x",  # as long as the sample of a size says
    str: "x",
    SecretStr: SECRET,
}


def sample_response(operation):
    """Return a good response for an operation: a JSON document, or bytes for content."""
    document = _sample(operation.returns)
    return {"data": document} if operation.unwrap else document


def _sample(hint):
    """Return the JSON of a value of this type, without the fields that can be left out."""
    if attrs.has(hint):
        fields = attrs.fields(attrs.resolve_types(hint))
        return {f.name: _sample(f.type) for f in fields if f.default in (attrs.NOTHING, ())}
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return args[0]
    if origin in {typing.Union, types.UnionType}:
        return _sample(next(arg for arg in args if arg is not type(None)))
    if hint is dict or origin in {dict, Mapping}:
        return {}
    return [_sample(args[0])] if origin else _BY_TYPE[hint]
