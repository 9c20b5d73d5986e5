"""From traffic and devices to a plan: which model where, how many, at what cost."""
