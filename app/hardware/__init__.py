"""What this machine is (facts, read once) and what it is doing (live readings); knows nothing of models."""
