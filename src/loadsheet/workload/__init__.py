"""What is asked of a device: requests and their service level objectives."""
