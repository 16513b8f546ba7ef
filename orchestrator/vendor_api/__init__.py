"""The vendor's HTTP dialects: one attempt a call, typed answers, and the platforms that are known.

Nothing is imported here on purpose: the configuration reads `platforms`, and must not pay for an HTTP client.
"""
