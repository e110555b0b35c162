"""Engines get prompts answered; each is imported only when it is chosen."""
