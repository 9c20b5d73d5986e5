"""Text-to-image diffusion: pipeline folders, noise schedules, samplers and the batched engine."""
