"""The mapper: what each binding becomes, each push configuration, and the folder that holds them. No network."""
