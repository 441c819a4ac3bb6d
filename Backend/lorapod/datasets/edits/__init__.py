"""Changes to a dataset that is there: whole or not at all, and the newest can be taken back."""
