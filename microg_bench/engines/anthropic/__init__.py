"""The engine for Anthropic's Messages interface."""
