"""The command ``openrouter-async demo``: a tour of the SDK against a local emulator."""
