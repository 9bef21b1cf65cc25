"""The calls that every client makes: one table, in the words of the documents.

Arguments are named as in the vendor's Python client. ``"$name"`` stands for the id that the
step with ``save="name"`` gave.
"""

from typing import Any

from attrs import field, frozen


@frozen
class Step:
    """One call."""

    call: str
    about: str = ""
    arguments: dict[str, Any] = field(factory=dict)
    save: str | None = field(default=None, kw_only=True)
    tells: dict[str, Any] = field(factory=dict, kw_only=True)
    """What every client must have read from the response."""
    refused: str | None = field(default=None, kw_only=True)
    """The error that every client must raise, by its documented name; or ours, by another."""
    attributed: bool = field(default=False, kw_only=True)
    """Whether the client was made with the app's attribution."""

    def __str__(self):
        return f"{self.call} ({self.about})" if self.about else self.call


@frozen
class Stream:
    """Content that is passed as a file object, or as something that can be read only once."""

    content: bytes
    seekable: bool = False


CHECKED = "BadRequestResponseError or InvalidRequestError"
TEXT = b"hello\n"
APP = {
    "http_referer": "https://app.example/path?q=1&r=%20",
    "x_open_router_title": 'An "App", 1.0',
    "x_open_router_categories": "cli-agent,cloud-agent",
}
OTHER_APP = {"http_referer": "https://other.example", "x_open_router_title": "Other"}
SETTINGS = {
    "description": 'Ünïcode, "quotes", a\nline',
    "default_text_model": "openai/gpt-5",
    "default_image_model": None,
    "default_provider_sort": "price",
    "disabled_server_tools": [],
    "io_logging_api_key_ids": [1, 2],
    "io_logging_sampling_rate": 0.25,
    "is_data_discount_logging_enabled": False,
    "is_observability_broadcast_enabled": True,
    "is_observability_io_logging_enabled": True,
}

# fmt: off
STEPS = [
    # Workspaces
    Step("workspaces.list", "no parameters"),
    Step("workspaces.create", "what is required", {"name": "Büro", "slug": "office"}, save="ws",
         tells={"name": "Büro", "slug": "office"}),
    Step("workspaces.create", "every field", {"name": "Lab", "slug": "lab", **SETTINGS},
         tells={"name": "Lab", **SETTINGS}),
    Step("workspaces.create", "a slug that is taken", {"name": "Lab", "slug": "lab"},
         refused="BadRequestResponseError"),
    Step("workspaces.get", "by UUID", {"id": "$ws"}, tells={"slug": "office"}),
    Step("workspaces.get", "by slug", {"id": "lab"}, tells={"name": "Lab"}),
    Step("workspaces.get", "none such", {"id": "nowhere"}, refused="NotFoundResponseError"),
    Step("workspaces.update", "one field", {"id": "lab", "name": "Lab 2"},
         tells={**SETTINGS, "name": "Lab 2"}),
    Step("workspaces.update", "null clears",
         {"id": "lab", "description": None, "io_logging_api_key_ids": None},
         tells={"name": "Lab 2", "description": None, "io_logging_api_key_ids": None}),
    Step("workspaces.update", "booleans and numbers",
         {"id": "$ws", "is_observability_broadcast_enabled": False,
          "is_data_discount_logging_enabled": True, "io_logging_sampling_rate": 1},
         tells={"io_logging_sampling_rate": 1, "is_data_discount_logging_enabled": True}),
    Step("workspaces.update", "nothing", {"id": "lab"}, tells={"name": "Lab 2"}),
    Step("workspaces.update", "ordinary key",
         {"id": "lab", "http_headers": {"Authorization": "Bearer $key"}},
         refused="ForbiddenResponseError"),
    Step("workspaces.list", "two pages", {"limit": 2}),
    Step("workspaces.list", "last page full", {"offset": 1, "limit": 2}),
    # Budgets
    Step("workspaces.set_budget", "whole dollars",
         {"workspace_ref": "lab", "interval": "monthly", "limit_usd": 500}),
    Step("workspaces.set_budget", "cents, with BYOK",
         {"workspace_ref": "$ws", "interval": "lifetime", "limit_usd": 99.5,
          "include_byok_in_budgets": True}, tells={"include_byok_in_budgets": True}),
    Step("workspaces.set_budget", "without BYOK",
         {"workspace_ref": "lab", "interval": "lifetime", "limit_usd": 1e21,
          "include_byok_in_budgets": False}, tells={"include_byok_in_budgets": False}),
    Step("workspaces.set_budget", "out of order",
         {"workspace_ref": "lab", "interval": "weekly", "limit_usd": 600},
         refused="BadRequestResponseError"),
    Step("workspaces.set_budget", "nothing to spend",
         {"workspace_ref": "lab", "interval": "daily", "limit_usd": 0}, refused=CHECKED),
    Step("workspaces.list_budgets", "", {"workspace_ref": "lab"}),
    Step("workspaces.get_budget", "", {"workspace_ref": "lab", "interval": "monthly"},
         tells={"limit_usd": 500, "reset_interval": "monthly"}),
    Step("workspaces.get_budget", "lifetime", {"workspace_ref": "lab", "interval": "lifetime"},
         tells={"limit_usd": 1e21, "reset_interval": None}),
    Step("workspaces.delete_budget", "", {"workspace_ref": "lab", "interval": "lifetime"},
         tells={"deleted": True}),
    Step("workspaces.get_budget", "none there", {"workspace_ref": "lab", "interval": "lifetime"},
         refused="NotFoundResponseError"),
    # Members
    Step("workspaces.list_members", "no parameters", {"id": "default"}),
    Step("workspaces.list_members", "two pages", {"id": "default", "limit": 2}),
    Step("workspaces.bulk_add_members", "",
         {"id": "lab", "user_ids": ["user_abc123", "user_def456"]}, tells={"added_count": 2}),
    Step("workspaces.bulk_remove_members", "", {"id": "lab", "user_ids": ["user_def456"]},
         tells={"removed_count": 1}),
    Step("workspaces.bulk_add_members", "a stranger", {"id": "lab", "user_ids": ["user_nobody"]},
         refused="BadRequestResponseError"),
    # Files
    Step("files.list", "none there"),
    Step("files.upload", "a name that is not ASCII", {"file": ("données é.txt", TEXT)}, save="text",
         tells={"filename": "données é.txt", "size_bytes": 6, "mime_type": "text/plain",
                "downloadable": False, "shape": "openrouter"}),
    Step("files.upload", "in a folder", {"file": ("data/a b.json", b"{}")},
         tells={"filename": "data/a b.json", "mime_type": "application/json"}),
    Step("files.upload", "no type known", {"file": ("README", TEXT)}),
    Step("files.upload", "a type of its own", {"file": ("t.csv", b"a,b\n1,2\n", "text/x-table")}),
    Step("files.upload", "a type from a longer list", {"file": ("notes.md", b"# Notes\n")}),
    Step("files.upload", "a file object", {"file": ("f.txt", Stream(TEXT, seekable=True))},
         tells={"size_bytes": 6}),
    Step("files.upload", "a stream", {"file": ("s.txt", Stream(TEXT))}, tells={"size_bytes": 6}),
    Step("files.upload", "elsewhere", {"file": ("x.txt", TEXT), "workspace_id": "$ws"},
         save="other"),
    Step("files.upload", "unsupported", {"file": ("x.bin", bytes(range(256)))},
         refused="BadRequestResponseError"),
    Step("files.upload", "a percent sign in the name", {"file": ("100%22.txt", TEXT)},
         tells={"filename": "100%22.txt"}),
    Step("files.upload", "a name with a colon", {"file": ("a:b.txt", TEXT)}, refused=CHECKED),
    Step("files.list", "no parameters"),
    Step("files.list", "pages by cursor", {"limit": 2}),
    Step("files.list", "after an id", {"after": "$text", "order": "asc", "limit": 1000}),
    Step("files.list", "elsewhere", {"workspace_id": "$ws"}),
    Step("files.list", "newest first", {"order": "desc"}, refused="BadRequestResponseError"),
    Step("files.list", "a wrong key", {"http_headers": {"Authorization": "Bearer wrong"}},
         refused="UnauthorizedResponseError"),
    Step("files.retrieve", "", {"file_id": "$text"}, tells={"filename": "données é.txt"}),
    Step("files.retrieve", "elsewhere", {"file_id": "$other", "workspace_id": "$ws"},
         tells={"filename": "x.txt"}),
    Step("files.retrieve", "in another workspace", {"file_id": "$other"},
         refused="NotFoundResponseError"),
    Step("files.retrieve", "an odd id", {"file_id": "a b+é%"}, refused="NotFoundResponseError"),
    Step("files.retrieve", "an id with a slash", {"file_id": "a/b"},
         refused="NotFoundResponseError"),
    Step("files.download", "", {"file_id": "$made"}, tells={"size": 70_000}),
    Step("files.download", "uploaded", {"file_id": "$text"}, refused="BadRequestResponseError"),
    Step("files.delete", "", {"file_id": "$text"}, tells={"type": "file_deleted"}),
    Step("files.delete", "elsewhere", {"file_id": "$other", "workspace_id": "$ws"},
         tells={"type": "file_deleted"}),
    Step("files.delete", "gone", {"file_id": "$text"}, refused="NotFoundResponseError"),
    # Files at a provider
    *[
        step
        for provider in ["openai", "anthropic"]
        for where in [{"provider": provider}]
        for step in [
            Step("files.upload", provider, {"file": ("a.txt", TEXT), **where}, save=provider,
                 tells={"shape": provider, "filename": "a.txt"}),
            Step("files.upload", f"{provider}, a second", {"file": ("b.txt", TEXT), **where}),
            Step("files.list", provider, where),
            Step("files.list", f"{provider}, pages", {"limit": 1, **where}),
            Step("files.list", f"{provider}, newest first", {"order": "desc", **where}),
            Step("files.list", f"{provider}, after", {"after_id": f"${provider}", **where}),
            Step("files.list", f"{provider}, before", {"before_id": f"${provider}", **where}),
            Step("files.retrieve", provider, {"file_id": f"${provider}", **where},
                 tells={"shape": provider}),
            Step("files.delete", provider, {"file_id": f"${provider}", **where},
                 tells={"shape": provider}),
        ]
    ],
    # Attribution and headers
    Step("files.list", "attributed", attributed=True),
    Step("workspaces.get", "attributed", {"id": "lab"}, attributed=True),
    Step("files.upload", "attributed", {"file": ("x.txt", TEXT)}, attributed=True),
    Step("files.download", "attributed", {"file_id": "$made"}, attributed=True),
    Step("files.list", "attributed anew by the call", OTHER_APP, attributed=True),
    Step("files.list", "attributed by the call alone", APP),
    Step("workspaces.list", "a header of the caller's", {"http_headers": {"X-Trace": "1"}}),
    # Keys
    Step("api_keys.create", "what is required", {"name": "ci"}, save="kh",
         tells={"name": "ci", "limit": None, "disabled": False}),
    Step("api_keys.create", "every field",
         {"name": "all", "workspace_id": "$ws", "limit": 20.5, "limit_reset": "monthly",
          "include_byok_in_limit": True, "creator_user_id": "user_def456",
          "external": {"user": "u1", "api_key": "x" * 32}},
         tells={"limit": 20.5, "limit_reset": "monthly", "external_user": "u1",
                "creator_user_id": "user_def456", "include_byok_in_limit": True}),
    Step("api_keys.create", "no name", {"name": ""}, refused=CHECKED),
    Step("api_keys.list", "no parameters"),
    Step("api_keys.list", "every parameter",
         {"workspace_id": "$ws", "include_disabled": True, "include_expired": False, "offset": 1}),
    Step("api_keys.get", "", {"hash": "$kh"}, tells={"name": "ci", "usage": 0}),
    Step("api_keys.get", "none such", {"hash": "0" * 64}, refused="NotFoundResponseError"),
    Step("api_keys.update", "null clears", {"hash": "$kh", "limit": None, "limit_reset": None},
         tells={"limit": None}),
    Step("api_keys.update", "every field",
         {"hash": "$kh", "name": "new", "disabled": True, "limit": 5, "limit_reset": "daily",
          "include_byok_in_limit": False}, tells={"name": "new", "disabled": True, "limit": 5}),
    Step("api_keys.get_current_key_metadata", "", tells={"is_management_key": True}),
    Step("api_keys.delete", "", {"hash": "$kh"}, tells={"deleted": True}),
    Step("organization.list_members", "no parameters"),
    Step("organization.list_members", "two pages", {"limit": 2}),
    # Containers
    Step("containers.list_container_files", "", {"container_id": "sess_x"}),
    Step("containers.list_container_files", "a page",
         {"container_id": "sess_x", "limit": 1, "after": "$cfile"}),
    Step("containers.get_container_file", "", {"container_id": "sess_x", "file_id": "$cfile"},
         tells={"path": "out/a.csv", "bytes": 4, "object": "container.file"}),
    Step("containers.get_container_file", "none such",
         {"container_id": "sess_y", "file_id": "$cfile"}, refused="NotFoundResponseError"),
    Step("containers.download_container_file_content", "",
         {"container_id": "sess_x", "file_id": "$cfile"}, tells={"size": 4}),
    Step("containers.promote_container_file", "", {"container_id": "sess_x", "file_id": "$cfile"},
         tells={"filename": "out/a.csv", "size_bytes": 4, "downloadable": True}),
    # The end of a workspace
    Step("workspaces.delete", "", {"id": "lab"}, tells={"deleted": True}),
    Step("workspaces.delete", "with a key", {"id": "$ws"}, refused="BadRequestResponseError"),
    Step("workspaces.create", "another", {"name": "Last", "slug": "last"}, save="last"),
    Step("workspaces.delete", "confirmed",
         {"id": "$last", "confirm_default_workspace_deletion": True}, tells={"deleted": True}),
    Step("workspaces.delete", "the default one", {"id": "default"},
         refused="ForbiddenResponseError"),
]
# fmt: on
