"""Fuzzing of every reader of files from elsewhere, and bombs for those that unpack."""
