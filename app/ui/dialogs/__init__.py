"""Windows that ask for a decision; everything else stands on its page."""
