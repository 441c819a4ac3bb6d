"""`lorapod mcp`: the actions as tools of the Model Context Protocol."""
