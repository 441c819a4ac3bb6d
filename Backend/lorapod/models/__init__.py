"""The model shelf: what models lie on the workspace, what is known of them, how they come there."""
