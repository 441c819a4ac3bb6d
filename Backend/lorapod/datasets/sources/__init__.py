"""The places that datasets are fetched from."""
