"""The HTTP server that the emulator runs in, and the handle that callers get."""
