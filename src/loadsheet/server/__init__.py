"""OpenAI-style HTTP over a running device loop: JSON to requests, updates to JSON or SSE.

No policy and no tensors live here; `create_app` gets the loop handed in, already running.
"""
