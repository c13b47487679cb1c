"""Accuracy and response times when packets are lost: the study, and thresholds for what arrives damaged."""
