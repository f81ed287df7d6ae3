"""What a decision is worth, and why it came out as it did."""
