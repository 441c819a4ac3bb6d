"""What a trainer learns from a dataset: its items with captions and second images, and what it leaves out."""
