"""Language model files: reading their headers, finding them on the Hub, fetching them, keeping them."""
