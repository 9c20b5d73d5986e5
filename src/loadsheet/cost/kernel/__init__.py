"""Seconds of single kernels on a device, by physics with few constants per chip family."""
