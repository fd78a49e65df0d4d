"""The quantization lab: make quants at home, and measure what they lost."""
