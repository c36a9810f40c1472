"""Files as such: how private ones are created, and which existing ones are taken for ours."""
