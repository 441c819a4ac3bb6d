"""Makes the heavy environment: a child process of the worker, on the standard library and pip alone."""
