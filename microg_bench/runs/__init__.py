"""The runs room: what to ask, asking it, and writing down every answer so that nothing is ever lost."""
