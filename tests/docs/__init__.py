"""What the documentation says, followed step by step."""
