"""The engine for Google's Gemini interface."""
