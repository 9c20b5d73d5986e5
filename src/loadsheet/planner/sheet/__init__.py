"""The plan folder: the load sheet as a page, a text, and files that run it."""
