"""The parts of a release: changelog, audit, list of components, distributions."""
