"""HTTP over asyncio's sockets: connection pools, dialling, TLS, proxies. Knows nothing of calls."""
