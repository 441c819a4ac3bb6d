"""`lorapod doctor`: what is wrong with an endpoint, and the command that mends it."""
