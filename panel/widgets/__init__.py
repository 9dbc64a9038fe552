"""What the panel shows: each widget draws the model and hands gestures to the editor."""
