import hashlib
from pathlib import Path

import pytest

from loadsheet.engine.assets.checksum import check_file, sha256_of
from loadsheet.errors import AssetError


def test_known_value(tmp_path: Path) -> None:
    path = tmp_path / "abc"
    path.write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_of(path) == expected
    check_file(path, num_bytes=3, sha256=expected)


def test_size_and_content_are_both_checked(tmp_path: Path) -> None:
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    other = hashlib.sha256(b"abd").hexdigest()
    with pytest.raises(AssetError, match="has 3 bytes, expected 4"):
        check_file(path, num_bytes=4, sha256=sha256_of(path))
    with pytest.raises(AssetError, match=f"expected {other}"):
        check_file(path, num_bytes=3, sha256=other)
