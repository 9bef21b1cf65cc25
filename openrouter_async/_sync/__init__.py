"""The synchronous client: a loop thread, and synchronous views of the async operations."""
