"""The mapper: what each binding becomes, and each service's push configuration. No network; pure decisions."""
