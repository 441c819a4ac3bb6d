"""What travels between callers and the worker: envelope, shared models, published schemas."""
