"""Models as OpenVINO graphs: the fast way on CPUs, with the same seams as the torch engine."""
