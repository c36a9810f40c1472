"""How much is asked of Twilio at a time, and for how long."""

# Chat's documentation speaks of 1000, OpenAPI of 50 and 100 (FACTS.md, "The two APIs"): the largest is asked for, and
# the others are fallen back to where the server refuses it or repeatedly fails with it.
PAGE_SIZES = (1000, 100, 50)
LARGEST_PAGE_SIZE = DEFAULT_PAGE_SIZE = PAGE_SIZES[0]
FEW_TRIES = 5  # failures in a row before something else is tried: a smaller page, another source
DEFAULT_CONCURRENCY = 16  # requests at a time; 429 is by concurrency (FACTS.md, "REST behaviour")
LONGEST_REQUEST = 60.0  # seconds from its first byte to the last of its answer
SHORTEST_LIMIT = 5.0  # seconds that even the last request of a budget has
LAST_MOMENT = 1.0  # seconds that requests under way have to end once the run is stopped
# Bytes of a body once it is decompressed. A page has at most 1000 records (FACTS.md), so that is 32 KB for each: a
# binding has some 1.3 KB, and what Twilio bounds in it (identity, endpoint, message types) stays below 8 KB.
LARGEST_BODY = 32 << 20
DEFAULT_RETRY_BUDGET = 300.0  # seconds that one request is tried again before its chain is given up


def page_sizes(most: int) -> tuple[int, ...]:
    """The page sizes to try, from `most` downward."""
    return (most, *(size for size in PAGE_SIZES if size < most))
