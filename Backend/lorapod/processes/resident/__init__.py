"""A child process that keeps a model loaded between the processes that use it."""
