"""How images and videos look to a trainer: what it sees otherwise than a person does."""
