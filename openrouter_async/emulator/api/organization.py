"""Handler of the organisation's members."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from ...operations.organization import LIST_ORGANIZATION_MEMBERS
from ..state import state_of
from ..store.workspaces import ORGANISATION
from .registry import handles
from .workspaces import limit_and_offset

__all__ = ["list_organization_members"]


@handles(LIST_ORGANIZATION_MEMBERS)
async def list_organization_members(request: Request) -> JSONResponse:
    """Return a page of members."""
    limit, offset = limit_and_offset(state_of(request), request.query_params)
    page = [_to_json(user, role) for user, role in ORGANISATION.items()][offset : offset + limit]
    return JSONResponse({"data": page, "total_count": len(ORGANISATION)})


def _to_json(user: str, role: str) -> dict[str, Any]:
    return {
        "id": user,
        "email": f"{user}@example.com",
        "first_name": user.removeprefix("user_"),
        "last_name": None,
        "role": f"org:{role}",
    }
