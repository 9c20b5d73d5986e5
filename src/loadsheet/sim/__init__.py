"""The served scheduler in virtual time: devices, fleets, and what a plan would do under a load."""
