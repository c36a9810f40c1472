"""The stand-in: a local imitation of the three Twilio APIs, for rehearsal, tests and recording cassettes."""
