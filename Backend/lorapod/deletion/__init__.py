"""What a person deletes: judged first, moved into the trash, then removed in the background."""
