"""Where datasets are fetched from."""
