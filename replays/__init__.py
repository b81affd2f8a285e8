"""Replay of recorded runs through today's core, and golden logs."""
