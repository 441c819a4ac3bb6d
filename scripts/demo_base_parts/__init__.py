"""What `scripts/demo_base.py` is made of."""
