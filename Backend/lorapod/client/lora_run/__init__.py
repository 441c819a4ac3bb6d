"""What `lorapod run` knows on this machine: the content of the folder, and what earlier calls have done."""
