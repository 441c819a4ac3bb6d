"""Small stand-ins for every port, shipped so that whoever builds on lorapod can test with them too."""
