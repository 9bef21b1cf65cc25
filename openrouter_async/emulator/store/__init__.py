"""What the emulator stores: SQLite rows and file contents."""
