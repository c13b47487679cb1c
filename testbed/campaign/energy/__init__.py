"""Energy per request against accuracy target, for types of boards, from their hardware profiles."""
