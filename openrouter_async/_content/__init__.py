"""Content: sources of uploads, request bodies, and targets of downloads."""
