"""The kinds of model that are taken, one a file: what predicts with them and what converts them share."""
