import pytest

from loadsheet.adapt.text_table import TextColumns, read_table
from loadsheet.errors import ConfigError


@pytest.fixture
def write(tmp_path):
    def to_file(name, content):
        path = tmp_path / name
        path.write_text(content, encoding="utf-8")
        return path

    return to_file


def test_csv_with_quotes_and_columns_of_ones_own(write):
    path = write("a.csv", 'review,stars,site\n"good, really",5,web\nbad,1,shop\n')
    data = read_table(path, TextColumns(text="review", label="stars", domain="site"))
    assert data.labels == ("1", "5")
    assert [(row.text, row.label, row.domain) for row in data.rows] == [
        ("good, really", 1, "web"),
        ("bad", 0, "shop"),
    ]


def test_jsonl(write):
    path = write("a.jsonl", '{"text": "good", "label": true}\n\n{"text": "bad", "label": false}\n')
    data = read_table(path, TextColumns())
    assert data.labels == ("False", "True")
    assert data.domains == ("data",)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "text,label\ngood,1\nbad,0,9\n", ":3: more cells"),
        ("a.csv", "text,label\ngood,1\n,0\n", ":3: 'text' is ''"),
        ("a.csv", "text,label\ngood\nbad,0\n", ":2: 'label' is None"),
        ("a.csv", "words,label\ngood,1\n", "no column 'text'; the columns are words, label"),
        ("a.csv", "text,label\n", "no rows"),
        ("a.csv", "text,label\ngood,1\nfine,1\n", "has 1 label"),
        ("a.jsonl", '{"text": "good", "label": 1}\n{broken\n', ":2: no JSON"),
        ("a.jsonl", '["good", 1]\n', ":1: a list"),
        ("a.jsonl", '{"text": "good", "label": 0.5}\n', ":1: 'label' is 0.5"),
        ("a.txt", "good", "neither .csv nor .jsonl"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(write, name, content, words):
    with pytest.raises(ConfigError, match=words):
        read_table(write(name, content), TextColumns())


def test_a_missing_file(tmp_path):
    with pytest.raises(ConfigError, match="no file"):
        read_table(tmp_path / "a.csv", TextColumns())
