"""Embeddings of images and texts, made by a child process with models of transformers."""
