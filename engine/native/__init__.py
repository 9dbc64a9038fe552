"""The native kernels, and their readable NumPy twins."""
