"""Small fakes of every port, shipped for the tests of projects that build on lorapod."""
