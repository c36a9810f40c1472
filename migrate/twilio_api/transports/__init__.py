"""What carries a request to an answer: the network, the network while it is recorded, or a recording."""
