"""Runs the steps on tensors without data, and reports shapes, gradients and memory."""
