"""The commands of `lorapod` that talk to an endpoint, one small module each."""
