"""Programs that make pictures and videos, behind one port."""
