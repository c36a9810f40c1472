"""How much is asked of Twilio at a time, and for how long."""

# Chat's documentation speaks of 1000, OpenAPI of 50 and 100 (FACTS.md, "The two APIs"): the largest is asked for, and
# the others are fallen back to where the server refuses it or repeatedly fails with it.
PAGE_SIZES = (1000, 100, 50)
LARGEST_PAGE_SIZE = DEFAULT_PAGE_SIZE = PAGE_SIZES[0]
FEW_TRIES = 5  # failures in a row before something else is tried: a smaller page, another source
DEFAULT_CONCURRENCY = 16  # requests at a time; 429 is by concurrency (FACTS.md, "REST behaviour")
DEFAULT_RETRY_BUDGET = 300.0  # seconds that one request is tried again before its chain is given up


def page_sizes(most: int) -> tuple[int, ...]:
    """The page sizes to try, from `most` downward."""
    return (most, *(size for size in PAGE_SIZES if size < most))
