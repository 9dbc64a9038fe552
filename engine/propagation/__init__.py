"""Key frames carried to the frames between them (section 4.2 of the paper)."""
