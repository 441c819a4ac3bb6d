"""What a person sees of a dataset: its images and captions, page by page, and what is odd about them."""
