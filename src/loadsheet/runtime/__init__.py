"""The device loop between a scheduler and an executor: clock, threads, event log, replay."""
