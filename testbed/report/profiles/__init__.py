"""Hardware profiles side by side."""
