"""The embedded captioner: a resident child process with a model of transformers, which stays loaded between captionings."""
