"""Mixed text and image load against any OpenAI-compatible server, measured honestly.

Importing the package loads nothing; `bench.run` needs the extra `bench` (aiohttp).
"""
