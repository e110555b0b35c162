"""From footage to a dataset: clips of three seconds, what automatic filters and people say of each, and the release."""
