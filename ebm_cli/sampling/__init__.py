"""Fresh chains of a verb: how long they are, and which sampler moves them unless one is named."""
