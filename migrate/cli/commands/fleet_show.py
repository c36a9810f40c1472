"""show for a fleet's folder: the accounts, and how far each stage is."""
