"""The builder of the environment: a child process of the entry, which needs only the standard library and pip."""
