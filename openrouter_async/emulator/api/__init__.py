"""The emulated endpoints: handlers, validation, error responses."""
