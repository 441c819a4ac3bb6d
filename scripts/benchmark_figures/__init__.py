"""What a benchmark measures, where it is kept, and the page that shows it."""
