"""The data catalogue: how each data set that a spec can name is found or built."""
