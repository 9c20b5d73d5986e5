import io
import tarfile

import pytest

from loadsheet.adapt.sentiment import FILE_NAME, SentimentConfig, fetch_sentiment, read_sentiment
from loadsheet.errors import AssetError, ConfigError

ROWS = {
    "movieReviewSnippets": "1\t2.5\tA fine film\r2\t-1\tDull, d\xe9j\xe0 vu\r3\t0.1\tA film\r",
    "tweets": "1\t0.6\tyay\n",
    "nytEditorialSnippets": "12_1\t-0.51\tBad news\r\n12_2\t0.5\tNews\r\n",
    "amazonReviewSnippets": "3_1\t1.0\tworks\r",
}


def add(tar, name, content):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


@pytest.fixture
def archive(tmp_path):
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w:gz") as tar:
        for stem, text in ROWS.items():
            add(tar, f"hutto_ICWSM_2014/{stem}_GroundTruth.txt", text.encode("latin-1"))
    path = tmp_path / FILE_NAME
    with tarfile.open(path, "w:gz") as tar:
        name = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
        add(tar, name, inner.getvalue())
    return path


def test_ratings_beyond_the_threshold_have_labels(archive):
    data = read_sentiment(archive, SentimentConfig())
    found = {(row.domain, data.labels[row.label], row.text, row.group) for row in data.rows}
    assert found == {
        ("movie", "positive", "A fine film", "movie:1"),
        ("movie", "negative", "Dull, déjà vu", "movie:2"),
        ("tweets", "positive", "yay", "tweets:1"),
        ("nyt", "negative", "Bad news", "nyt:12"),
        ("amazon", "positive", "works", "amazon:3"),
    }


def test_three_classes_keep_the_middle(archive):
    data = read_sentiment(archive, SentimentConfig(num_classes=3))
    assert data.labels == ("negative", "neutral", "positive")
    assert data.label_counts() == (2, 2, 3)


def test_another_file_under_the_name(archive):
    with pytest.raises(AssetError, match="sha256"):
        fetch_sentiment(archive.parent)


@pytest.mark.parametrize("fields", [{"threshold": 4.0}, {"threshold": -1.0}, {"num_classes": 4}])
def test_settings_out_of_range(fields):
    with pytest.raises(ConfigError):
        SentimentConfig(**fields)
