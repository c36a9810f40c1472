"""Tests: behaviour through the public surface and the real stand-in server. All data is synthetic."""
