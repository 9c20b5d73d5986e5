"""What work runs on: devices, links and nodes, with their sources and prices."""
