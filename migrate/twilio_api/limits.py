"""How much is asked of Twilio at a time."""

DEFAULT_PAGE_SIZE = 50  # the largest that OpenAPI promises for Chat's bindings (FACTS.md, "The two APIs")
LARGEST_PAGE_SIZE = 1000  # the largest that Twilio's documentation speaks of
DEFAULT_CONCURRENCY = 16  # requests at a time; 429 is by concurrency (FACTS.md, "REST behaviour")
