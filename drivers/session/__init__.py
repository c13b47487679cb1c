"""The host's end of one conversation with a board's agent: orders in, events out, each action with exactly one end."""
