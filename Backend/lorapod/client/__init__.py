"""What runs at the caller: the client and the `lorapod` command line."""
