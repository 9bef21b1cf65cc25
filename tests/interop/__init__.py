"""The vendor's own clients beside ours, against one emulator."""
