"""The emulator's tests, over real sockets."""
