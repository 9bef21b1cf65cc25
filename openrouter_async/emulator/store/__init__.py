"""Storage of the emulator: rows in SQLite, file contents beside it."""
