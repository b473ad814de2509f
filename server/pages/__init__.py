"""The pages for people: the playground and the operator's page, static files of this package."""
