"""The console programs as real processes."""
