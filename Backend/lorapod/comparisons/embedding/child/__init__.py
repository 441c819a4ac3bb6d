"""What runs in the embedding child; nothing else in the package may import from here."""
