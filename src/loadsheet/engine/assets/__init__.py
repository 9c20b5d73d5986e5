"""Model files on this machine: what ships, how it is fetched, checked, converted and found.

    entry       the catalogue: one TOML file per model with licence, source and hashes
    ensure      fetch and convert catalogue models into a cache, once
    resolve     a name, folder or hub id → a folder with a kind

Nothing here imports torch, transformers or diffusers, so looking up a ready model costs
milliseconds.
"""
