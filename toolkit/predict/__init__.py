"""``toolkit predict``: name what pictures show, with any kind of model people have from a training."""
