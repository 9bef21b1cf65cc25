"""Controls for tests: admin routes, fault rules and the request log."""
