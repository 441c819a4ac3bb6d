"""Pictures and captions that trainings learn from."""
