"""The organisation that an account belongs to."""

from typing import Unpack

from .. import models
from .._core.operation import Operation
from .._core.options import CallOptions
from .._core.paging import Pager
from .._core.transport import AsyncTransport
from ._settings import check_window

__all__ = ["LIST_ORGANIZATION_MEMBERS", "list_organization_members"]

LIST_ORGANIZATION_MEMBERS = Operation("GET", "/organization/members", models.OrganizationMemberPage)


def list_organization_members(
    transport: AsyncTransport,
    *,
    offset: int | None = None,
    limit: int | None = None,
    **options: Unpack[CallOptions],
) -> Pager[models.OrganizationMemberPage, models.OrganizationMember]:
    """Return the organisation's members, whose ids workspaces and keys refer to.

    Example:
        ```python
        ids = {member.email: member.id async for member in client.organization.list_members()}
        ```

    Args:
        offset: Number of members to skip.
        limit: Members per page, 1 to 100; the service's default is 50.
        **options: Overrides of the client's options (`CallOptions`).

    Returns:
        A pager over `OrganizationMemberPage` and `OrganizationMember`; nothing is sent before it is
        iterated.

    Raises:
        InvalidRequestError: The limit or the offset is out of range.
        ForbiddenResponseError: The key is not a management key.
        NotFoundResponseError: The account belongs to no organisation.
        ResponseError: The service rejected the request.
        NoAnswerError: No complete response arrived.
    """
    check_window(offset, limit)
    transport = transport.with_options(**options)

    async def fetch(query: models.Query) -> models.OrganizationMemberPage:
        return await transport.call(LIST_ORGANIZATION_MEMBERS, query=query)

    return Pager(fetch, offset=offset, limit=limit)
