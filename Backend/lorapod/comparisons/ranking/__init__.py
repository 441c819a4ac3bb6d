"""The ranking of a comparison: what its cells' scores can tell, and what they cannot."""
