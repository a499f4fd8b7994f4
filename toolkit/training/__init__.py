"""Training of the backbone itself: the network as variables, its pictures, its optimiser, the loop."""
