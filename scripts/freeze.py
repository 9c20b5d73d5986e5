"""Print the constraints file: every installed package but ourselves and the build tools."""

from importlib.metadata import distributions

NOT_OURS = {"loadsheet", "pip", "setuptools", "wheel"}

print(
    "# Exact versions that `make run` and `make test` install; `make constraints` writes this file."
)
pins = {
    f"{dist.name}=={dist.version.split('+')[0]}"  # a local build's suffix is not on the index
    for dist in distributions()
    if dist.name.lower() not in NOT_OURS
}
print("\n".join(sorted(pins, key=str.lower)))
