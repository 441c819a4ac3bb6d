"""Settings by what they are for; `lorapod.settings` puts them together, and is what reads them."""
