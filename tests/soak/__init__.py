"""Many clients for a long time: `make soak`; a short one is in the tests."""
