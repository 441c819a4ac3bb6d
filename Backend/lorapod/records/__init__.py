"""What is known of a process, as it is stored: the record, its parts, and their stored form."""
