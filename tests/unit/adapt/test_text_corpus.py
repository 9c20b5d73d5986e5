"""Documents are read as people would write them, and what is held out stays out."""

import hashlib
import io
import tarfile

import pytest

from loadsheet.adapt import text_corpus
from loadsheet.adapt.text_corpus import (
    open_corpus,
    read_brown,
    read_file,
    read_wordnet,
    split,
    synset_text,
    untagged,
)
from loadsheet.errors import AssetError, ConfigError

LICENCE = "  1 This software and database is being provided to you  "
DOG = (
    "02084071 05 n 03 dog 0 domestic_dog 0 Canis_familiaris 0 002 @ 02083346 n 0000 "
    '~ 01325095 n 0000 | a member of the genus Canis; "the dog barked"  '
)
ALIVE = "00005839 00 s 01 alive(p) 2 000 | possessing life"


def archive(path, members):
    with tarfile.open(path, "w:gz") as tar:
        for name, text in members.items():
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return path


def test_a_synset_reads_like_a_dictionary():
    assert synset_text(DOG) == (
        'dog, domestic dog, Canis familiaris (noun): a member of the genus Canis; "the dog barked"'
    )
    assert synset_text(ALIVE) == "alive (adjective): possessing life"


def test_wordnet_is_read_without_its_licence(tmp_path):
    members = {f"dict/data.{part}": LICENCE for part in ("noun", "verb", "adv")}
    path = archive(tmp_path / "w.tgz", members | {"dict/data.adj": f"{LICENCE}\n{ALIVE}\n"})
    assert list(read_wordnet(path)) == ["alive (adjective): possessing life"]


def test_tags_are_stripped_and_words_joined():
    tagged = (
        "``/`` Is/bez it/pps (/( really/rb )/) Jones's/np$ ?/. ?/. "
        "No/rb ''/'' ,/, he/pps said/vbd ;/. ;/.\nand/cc 1/2/cd"
    )
    assert untagged(tagged) == '"Is it (really) Jones\'s? No", he said; and 1/2'


def test_brown_is_read_text_by_text(tmp_path):
    members = {
        "ca02": "\n\n\tTwo/cd ./.\n\n\tMore/ap ./.\n",
        "ca01": "\n\tOne/cd ./.\n",
        "README": "not/a text/nn",
    }
    assert list(read_brown(archive(tmp_path / "b.tgz", members))) == ["One.", "Two.\nMore."]


def test_held_out_documents_are_never_trained_on():
    documents = [f"document number {number}" for number in range(3000)]
    source = split("many", iter(documents))
    assert not set(source.train) & set(source.held_out)
    assert sorted(source.train + source.held_out) == sorted(documents)
    assert 30 <= len(source.held_out) <= 90  # one in fifty
    again = split("many", iter(reversed(documents)))
    assert set(again.held_out) == set(source.held_out)


def test_a_file_is_cut_at_the_end_of_a_line(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("".join(f"line {number}\n" for number in range(500)))
    [source] = open_corpus([path], tmp_path)
    assert source.name == "mine"
    [train], [held_out] = source.train, source.held_out
    assert train + held_out == path.read_text()
    assert train.endswith("\n")
    assert 0.02 <= len(held_out) / len(train) <= 0.03


@pytest.mark.parametrize("content", [b"", b"one line", b"\xff\xfe\x00binary"])
def test_a_file_that_cannot_be_used_is_refused_by_name(tmp_path, content):
    path = tmp_path / "bad.txt"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"bad\.txt"):
        read_file(path)


def test_a_changed_archive_is_refused(tmp_path):
    (tmp_path / text_corpus.WORDNET.file_name).write_bytes(b"something else")
    with pytest.raises(AssetError, match=hashlib.sha256(b"something else").hexdigest()):
        open_corpus([], tmp_path)
