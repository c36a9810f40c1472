"""The stand-in: a local imitation of the two Twilio APIs, for rehearsal, tests and recording cassettes."""
