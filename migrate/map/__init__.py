"""The mapper: what each binding becomes, and the push configuration of each service. Pure, no network."""
