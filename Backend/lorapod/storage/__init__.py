"""Object stores: where datasets come from and artifacts go to."""
