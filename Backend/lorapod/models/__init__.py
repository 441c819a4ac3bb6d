"""The models of the workspace: find, describe, download and link them."""
