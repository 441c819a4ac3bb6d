"""Programs that make images and videos, behind one port."""
