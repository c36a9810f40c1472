"""The nouns of the project: schemas, push configuration, findings, changes, plans, errors. No I/O."""
