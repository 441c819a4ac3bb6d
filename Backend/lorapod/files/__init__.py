"""Files of the workspace, listed and read in parts."""
