"""Rules about the source itself: who may import, sign, draw, read the clock, or send."""
