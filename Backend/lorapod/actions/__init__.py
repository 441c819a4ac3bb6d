"""What callers can ask for: one small module an action, and the router that finds it."""
