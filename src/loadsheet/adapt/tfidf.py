"""The baseline without a Transformer: weighted words and pairs of words, logistic regression.

Spärck Jones (1972) for the weights; sublinear term frequency. What a model of 22.7 M parameters has
to beat to be worth serving.
"""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from loadsheet.adapt.classifier_scores import Probabilities, score
from loadsheet.adapt.fitted_classifier import FittedClassifier
from loadsheet.adapt.labelled_text import LabelledSet

STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0)
"""Inverse regularisation of the logistic regression; validation picks one."""
MAX_ITERATIONS = 2000


class TfidfClassifier:
    def __init__(self, vectorizer: TfidfVectorizer, regression: LogisticRegression) -> None:
        self._vectorizer = vectorizer
        self._regression = regression

    def predict(self, texts: Sequence[str]) -> Probabilities:
        return np.asarray(self._regression.predict_proba(self._vectorizer.transform(texts)))

    def save(self, folder: Path) -> None:
        np.savez_compressed(
            folder / "tfidf.npz",
            terms=self._vectorizer.get_feature_names_out().astype(str),
            idf=self._vectorizer.idf_.astype(np.float32),
            weight=self._regression.coef_.astype(np.float32),
            bias=self._regression.intercept_.astype(np.float32),
        )


def fit_tfidf(train: LabelledSet, validation: LabelledSet) -> FittedClassifier:
    started_s, started_cpu_s = time.monotonic(), time.process_time()
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    train_NV = vectorizer.fit_transform([row.text for row in train.rows])
    labels_N = np.array([row.label for row in train.rows])
    held_out = [row.text for row in validation.rows]
    truth_N = np.array([row.label for row in validation.rows])
    fits = []
    for strength in STRENGTHS:
        regression = LogisticRegression(C=strength, max_iter=MAX_ITERATIONS)
        regression.fit(train_NV, labels_N)
        classifier = TfidfClassifier(vectorizer, regression)
        fits.append((score(classifier.predict(held_out), truth_N).nll, classifier, regression))
    _, best, regression = min(fits, key=lambda fit: fit[0])
    num_parameters = int(regression.coef_.size + regression.intercept_.size)
    return FittedClassifier(
        classifier=best,
        trainable_parameters=num_parameters,
        total_parameters=num_parameters + len(vectorizer.idf_),
        num_steps=int(regression.n_iter_.max()),
        seconds=time.monotonic() - started_s,
        cpu_seconds=time.process_time() - started_cpu_s,
    )
