"""Training and adaptation: the default image model, and later styles and classifiers."""
