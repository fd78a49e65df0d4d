"""The local API server: routes, their wire formats, and the thread that serves them."""
