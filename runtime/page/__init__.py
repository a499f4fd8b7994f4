"""The live page: what the camera sees and what the model says to it, in any browser."""
