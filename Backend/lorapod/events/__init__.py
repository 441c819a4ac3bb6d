"""What is told of a training, and the ways by which it reaches whoever wants to know."""
