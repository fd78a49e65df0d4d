"""Types and small mechanisms every layer shares; imports nothing else of the program."""
