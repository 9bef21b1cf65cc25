"""The sync client: an event loop in a thread, and sync views of the async operations."""
