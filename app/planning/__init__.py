"""What a model will need and how to load it: memory, speed, energy, and the plan. No process is started here."""
