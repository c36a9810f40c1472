"""Push errors: read from Twilio's Alerts, each once; counted by credential, service, code and hour."""
