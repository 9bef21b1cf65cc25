"""The Workspaces API: one function per operation, over `AsyncTransport`."""

from .. import models
from .._operation import Operation, Repeat

_ONE = "/workspaces/{workspace_id}"
_BUDGET = "/workspaces/{workspace_id}/budgets/{interval}"

LIST_WORKSPACES = Operation("GET", "/workspaces", models.WorkspacePage)
CREATE_WORKSPACE = Operation("POST", "/workspaces", models.Workspace, unwrap=True)
GET_WORKSPACE = Operation("GET", _ONE, models.Workspace, unwrap=True)
UPDATE_WORKSPACE = Operation("PATCH", _ONE, models.Workspace, unwrap=True)
DELETE_WORKSPACE = Operation("DELETE", _ONE, models.DeleteWorkspaceResponse)
LIST_BUDGETS = Operation("GET", _ONE + "/budgets", models.ListWorkspaceBudgetsResponse)
GET_BUDGET = Operation("GET", _BUDGET, models.GetWorkspaceBudgetResponse)
SET_BUDGET = Operation("PUT", _BUDGET, models.UpsertWorkspaceBudgetResponse)
DELETE_BUDGET = Operation("DELETE", _BUDGET, models.DeleteWorkspaceBudgetResponse)
LIST_MEMBERS = Operation("GET", _ONE + "/members", models.WorkspaceMemberPage)
ADD_MEMBERS = Operation(
    "POST",
    _ONE + "/members/add",
    models.BulkAddWorkspaceMembersResponse,
    repeat=Repeat.IDEMPOTENT,
)
REMOVE_MEMBERS = Operation(
    "POST",
    _ONE + "/members/remove",
    models.BulkRemoveWorkspaceMembersResponse,
    repeat=Repeat.IDEMPOTENT,
)
