"""The emulator's HTTP server, and the handle that callers get."""
