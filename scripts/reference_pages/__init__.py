"""The pages of docs/reference, written from the models, the settings and the errors themselves."""
