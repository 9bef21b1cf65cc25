"""The console: pages below ``/_emulator/`` that show what the emulator does and let it be changed.

The pages read and change the account by the SDK's own client, in the same process: what the API
refuses, they cannot do.
"""
