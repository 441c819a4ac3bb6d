"""The client for programs with an event loop. `scripts/python_client` makes `lorapod.client.client` of it, without `await`."""
