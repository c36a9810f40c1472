"""The only code that speaks HTTP: the two Twilio APIs, their pages, errors, retries and cassettes."""
