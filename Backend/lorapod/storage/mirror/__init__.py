"""Upload artifacts to object stores while their training runs, and the rest afterwards."""
