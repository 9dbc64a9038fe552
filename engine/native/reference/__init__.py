"""The kernels in NumPy, written to be read: they specify what every native backend does."""
