"""Control images: what a ControlNet sees of a frame."""
