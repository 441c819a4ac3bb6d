"""`lorapod deploy`: what an endpoint must be, what it is, and the steps in between."""
