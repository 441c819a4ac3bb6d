"""The report of trainings: one HTML page that needs nothing else, and the same page served live."""
