"""Looking at a folder of pictures before training on it: what it holds, and what is wrong with it."""
