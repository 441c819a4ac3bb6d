"""Images and captions that trainings learn from."""
