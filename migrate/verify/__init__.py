"""Verification: which bindings of a snapshot have a registration in Conversations by now, and who is pending."""
