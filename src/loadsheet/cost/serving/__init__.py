"""Whole runs of a server or a pipeline, composed of kernel times in closed form."""
