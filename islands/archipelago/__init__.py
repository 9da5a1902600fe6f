"""The campaign as a whole: who sends to whom, what is done when, and what is remembered."""
