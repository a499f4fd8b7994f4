"""The kinds of model that ``toolkit predict`` takes, one a file; each gives a ``Predictor``."""
