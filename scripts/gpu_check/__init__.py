"""What only a machine with CUDA can show; each measure is a function from a workshop to figures."""
