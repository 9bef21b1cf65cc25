"""Upload from several threads that share one sync client."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from openrouter_async import OpenRouter

with OpenRouter() as client, ThreadPoolExecutor(max_workers=8) as pool:
    for file in pool.map(client.files.upload, Path("docs").glob("*.pdf")):
        print(file.id, file.filename, file.size_bytes)
